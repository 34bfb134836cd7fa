"""A good script without kopal: features of timm's EfficientNet-Lite0, then scikit-learn's logistic regression.

    python benchmarks/timm_script.py FOLDER        prints the accuracy on FOLDER's validation or test part

Its weights are those that kopal takes, from the same package, so that nothing is downloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from lite0 import published_tensors


def main() -> None:
    root = Path(sys.argv[1])
    model = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    names = model.state_dict()
    tensors = zip(names, published_tensors(), strict=True)
    model.load_state_dict({name: tensor.reshape(names[name].shape) for name, tensor in tensors})
    model.reset_classifier(0)
    model = model.eval().to(memory_format=torch.channels_last)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    second = root / "validation" if (root / "validation").exists() else root / "test"
    learn, judge = (features(model, ImageFolder(part, transform)) for part in (root / "train", second))
    scaler = StandardScaler().fit(learn[0])
    x, y = scaler.transform(learn[0]), learn[1]
    inner, held, y_inner, y_held = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    tried = (1e-4, 1e-3, 1e-2, 1e-1)
    kept = max(tried, key=lambda c: LogisticRegression(C=c, max_iter=300).fit(inner, y_inner).score(held, y_held))
    print(LogisticRegression(C=kept, max_iter=300).fit(x, y).score(scaler.transform(judge[0]), judge[1]))


@torch.inference_mode()
def features(model: torch.nn.Module, photos: ImageFolder) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) float32 and labels (N,)."""
    found, labels = [], []
    for batch, own in DataLoader(photos, batch_size=64, num_workers=2):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(model(batch.to(memory_format=torch.channels_last)).float().numpy())
        labels.append(own.numpy())
    return np.concatenate(found), np.concatenate(labels)


if __name__ == "__main__":
    main()
