"""Torch modules as ONNX nodes: torch.export records the operators (ATen's), and a table writes each of them.

torch's own exporter is not used: the old one is deprecated, the new one needs another package and a later opset, and
both read the number of images at run time, with operators that can make large things of small. What is computed from
weights alone is computed here, by torch, and becomes a constant; so the table has only what happens to images.
"""
