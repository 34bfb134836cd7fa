"""What is written down of torchvision's published weights is what torchvision itself says."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kopal.nets.registry import build
from kopal.nets.torchvision_names import in_published_order
from kopal.nets.torchvision_weights import DOWNLOADABLE
from kopal.nets.weights import PRETRAINED

# Weights whose modules turn the published normalisation into -1..1 themselves.
TURNED = ("googlenet", "inception-v3")


def theirs(name: str) -> Any:
    models = pytest.importorskip("torchvision.models")
    return models.get_model_weights(name.replace("-", "_")).IMAGENET1K_V1


@pytest.mark.parametrize("name", DOWNLOADABLE)
def test_file_hash_preprocessing_accuracy_and_source_are_torchvisions(name: str) -> None:
    entry, weights = DOWNLOADABLE[name], theirs(name)
    published = weights.transforms()
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    assert entry.url == weights.url
    assert len(entry.hash_prefix) == 8
    assert int(entry.hash_prefix, 16) >= 0
    assert entry.megabytes == weights.meta["_file_size"]
    assert [entry.geometry.height] == [entry.geometry.width] == published.crop_size
    assert [entry.resize] == published.resize_size
    assert entry.geometry.filter == published.interpolation.value
    assert (100 * entry.top1, 100 * entry.top5) == pytest.approx((accuracy["acc@1"], accuracy["acc@5"]))
    assert entry.source == weights.meta["recipe"]
    if name not in TURNED:
        assert (entry.normalize.mean, entry.normalize.std) == (tuple(published.mean), tuple(published.std))


@pytest.mark.parametrize("name", TURNED)
def test_these_modules_turn_the_published_normalisation_into_that_of_the_literal(name: str) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    published, entry = theirs(name).transforms(), DOWNLOADABLE[name]
    with torch.device("meta"):
        module = models.get_model(name.replace("-", "_"), init_weights=False)
    module.transform_input = True
    values = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (published.mean, published.std))
    turned = module._transform_input((values - mean) / std)
    assert torch.allclose(turned, (values - entry.normalize.mean[0]) / entry.normalize.std[0], atol=1e-5)


@pytest.mark.parametrize("name", [*DOWNLOADABLE, *PRETRAINED])
def test_a_net_normalises_and_is_sized_as_its_weights_want(name: str) -> None:
    entry = DOWNLOADABLE.get(name) or PRETRAINED[name]
    net = build(name)
    assert net.body.layers[0] == ("normalize", entry.normalize)
    assert net.image == entry.geometry.shape


@pytest.mark.parametrize("name", DOWNLOADABLE)
def test_names_in_any_order_come_back_into_torchvisions(name: str) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        more = {"init_weights": False} if name in TURNED or name.startswith("vgg") else {}
        published = list(models.get_model(name.replace("-", "_"), **more).state_dict())
    layers = [layer for layer in dict.fromkeys(key.rpartition(".")[0] for key in published) if "ux" not in layer]
    shuffled = random.Random(0).sample(layers, len(layers))
    assert shuffled != layers
    assert in_published_order(shuffled) == layers
