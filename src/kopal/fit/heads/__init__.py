"""Heads beside the softmax regression, one kind a file: each is fitted on features and written into the same graph."""
