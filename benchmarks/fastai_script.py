"""fastai's way without kopal: EfficientNet-Lite0 with the same weights, its learning-rate finder, then `fine_tune`.

    python benchmarks/fastai_script.py FOLDER [EPOCHS]     a line a validation: seconds since the start, accuracy

`fine_tune` trains the head for an epoch, then the whole net for EPOCHS. For an environment of its own: fastai asks for
an older PyTorch.
"""

from __future__ import annotations

import sys
import tempfile
import time

STARTED = time.perf_counter()

from pathlib import Path  # noqa: E402 - the clock starts before PyTorch is loaded

from fastai.callback.core import Callback  # noqa: E402
from fastai.metrics import accuracy  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    ImageDataLoaders,
    Normalize,
    Resize,
    aug_transforms,
    set_seed,
    vision_learner,
)

from lite0 import published_tensors  # noqa: E402


class Told(Callback):
    """What the net was worth after each epoch, and when."""

    order = 60  # after the recorder, which has it

    def after_epoch(self) -> None:
        if self.learn.recorder.values and not hasattr(self.learn, "lr_finder"):
            print(f"{time.perf_counter() - STARTED:.1f} {self.learn.recorder.values[-1][-1]:.4f}", flush=True)


def main() -> None:
    root, epochs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    set_seed(0)
    second = "validation" if (root / "validation").exists() else "test"
    data = ImageDataLoaders.from_folder(
        root,
        train="train",
        valid=second,
        bs=64,
        num_workers=2,
        item_tfms=Resize(256),
        batch_tfms=[*aug_transforms(size=224), Normalize.from_stats(*[(0.5, 0.5, 0.5)] * 2, cuda=False)],
    )
    learner = vision_learner(
        data,
        "tf_efficientnet_lite0",
        metrics=accuracy,
        pretrained=False,
        normalize=False,
        cbs=[Told()],
        path=tempfile.mkdtemp(),  # its finder keeps the weights there, else beside the photos
    )
    body = learner.model[0].model
    names = body.state_dict()
    tensors = zip(names, published_tensors(), strict=False)  # fastai has a head of its own
    body.load_state_dict({name: tensor.reshape(names[name].shape) for name, tensor in tensors})
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        rate = learner.lr_find(show_plot=False).valley
        print(f"rate {rate:.2g} after {time.perf_counter() - STARTED:.1f} s", file=sys.stderr, flush=True)
        learner.fine_tune(epochs, rate)


if __name__ == "__main__":
    main()
