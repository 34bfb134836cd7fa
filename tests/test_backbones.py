"""Backbones with weights from outside: fetched once, from a file, or through timm; loud where anything is not right.

There is no network here: random weights are saved as the publishers save theirs, and the opener is a stand-in.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import QUICK
from kopal.backends import weights_file
from kopal.backends.weights_file import weights_in
from kopal.classifier import load
from kopal.errors import KopalError, UsageError, WeightsError
from kopal.extraction import of_net
from kopal.fit import downloads
from kopal.fit.backbones import backbone_of
from kopal.log import Note
from kopal.model_file import golden_pixels
from kopal.nets.layers import IMAGENET
from kopal.nets.torchvision_weights import DOWNLOADABLE
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.ways import used_knobs
from legacy_file import SMALL, Named, dump, legacy
from test_nets_parity import furthest, pixels_for, randomised, run_torch

Save = Callable[..., Path]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def resnet18() -> Any:
    """torchvision's module with random weights."""
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    return models.resnet18()


@pytest.fixture(scope="module")
def saved(resnet18: Any) -> bytes:
    """Its weights as torchvision publishes them."""
    return as_file(resnet18.state_dict())


def as_file(value: Any, legacy_layout: bool = False) -> bytes:
    torch = pytest.importorskip("torch")
    written = io.BytesIO()
    torch.save(value, written, _use_new_zipfile_serialization=not legacy_layout)
    return written.getvalue()


def from_file(tmp_path: Path, data: bytes, net: str = "resnet18", name: str = "own.pth", side: int = 64) -> Recipe:
    (tmp_path / name).write_bytes(data)
    return recipe(net=net, weights=tmp_path / name, image_size=side)


def refused(made: Recipe, download: bool = False) -> str:
    with pytest.raises(KopalError) as caught:
        backbone_of(made, download)
    assert isinstance(caught.value, WeightsError | UsageError)
    return str(caught.value)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, saved: bytes) -> Iterator[list[str]]:
    """The site, with our random ResNet-18 on it; gives the addresses that were asked for."""
    hub = pytest.importorskip("torch.hub")
    asked: list[str] = []

    class Answer(io.BytesIO):
        def info(self) -> Any:
            return type("Head", (), {"getheaders": lambda self, name: [str(len(saved))]})()

    def opener(request: Any) -> Answer:
        asked.append(request.full_url)
        return Answer(saved)

    monkeypatch.setattr(hub, "urlopen", opener)
    name = f"resnet18-{hashlib.sha256(saved).hexdigest()[:8]}.pth"
    monkeypatch.setitem(DOWNLOADABLE, "resnet18", replace(DOWNLOADABLE["resnet18"], file=name))
    yield asked


WANTED = Recipe(net="resnet18", weights="imagenet", image_size=64)


def test_weights_are_fetched_once_and_their_whole_digest_is_written_down(
    own_cache: Path, published: list[str], saved: bytes
) -> None:
    notes: list[object] = []
    first = backbone_of(WANTED, True, notes.append)
    again = backbone_of(WANTED, True, notes.append)
    offline = backbone_of(WANTED)
    assert published == [DOWNLOADABLE["resnet18"].url]
    assert [type(note) for note in notes] == [Note]
    assert first.context == again.context == offline.context
    sha256 = hashlib.sha256(saved).hexdigest()
    assert json.loads((own_cache / "weights" / "sha256.json").read_text()) == {DOWNLOADABLE["resnet18"].file: sha256}
    assert first.origin == {"source": published[0], "licence": "BSD-3-Clause", "sha256": sha256}
    assert downloads.nets_at_hand() == {"resnet18"}


def test_without_download_the_error_says_which_command_which_file_and_where(own_cache: Path) -> None:
    message = refused(WANTED)
    for words in ("--download", "resnet18-f37072fd.pth", str(own_cache / "weights"), "--weights FILE", "45 MB"):
        assert words in message
    assert DOWNLOADABLE["resnet18"].url in message


def test_without_a_network_the_error_says_so_and_leaves_nothing(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.error import URLError

    hub = pytest.importorskip("torch.hub")

    def opener(request: Any) -> Any:
        raise URLError(OSError(101, "Network is unreachable"))

    monkeypatch.setattr(hub, "urlopen", opener)
    message = refused(WANTED, download=True)
    assert "cannot fetch https://" in message
    assert "Network is unreachable" in message
    assert "another machine" in message
    assert list((own_cache / "weights").iterdir()) == []


def test_what_does_not_hash_as_published_is_not_kept(
    own_cache: Path, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOWNLOADABLE, "resnet18", replace(DOWNLOADABLE["resnet18"], file="resnet18-00000000.pth"))
    assert "is not what was published" in refused(WANTED, download=True)
    assert list((own_cache / "weights").iterdir()) == []
    (own_cache / "weights" / "resnet18-00000000.pth").write_bytes(b"put there by hand")
    message = refused(WANTED)
    assert "00000000…, as published" in message
    assert "delete that file" in message


def test_a_file_that_changes_below_its_first_digits_is_noticed(
    own_cache: Path, published: list[str], saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone_of(WANTED, download=True)
    entry = DOWNLOADABLE["resnet18"]
    other = saved + b"\0"
    (own_cache / "weights" / entry.file).write_bytes(other)
    # As if the first eight digits were the same by bad luck or by design.
    monkeypatch.setattr(type(entry), "hash_prefix", property(lambda self: ""))
    message = refused(WANTED)
    assert hashlib.sha256(other).hexdigest() in message
    assert hashlib.sha256(saved).hexdigest() in message


def test_a_damaged_record_of_digests_starts_anew(own_cache: Path, published: list[str]) -> None:
    (own_cache / "weights").mkdir(parents=True)
    (own_cache / "weights" / "sha256.json").write_text("[1,")
    backbone_of(WANTED, download=True)
    assert DOWNLOADABLE["resnet18"].file in json.loads((own_cache / "weights" / "sha256.json").read_text())


def test_fetching_without_torch_names_the_command(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "require_torch", without_torch)
    assert "pip install 'kopal[torch]'" in refused(WANTED, download=True)


def without_torch() -> Any:
    raise UsageError("torch is not installed")


def test_a_net_without_published_weights_and_an_unknown_net_are_told_apart() -> None:
    assert "resnet9 has no published weights" in refused(Recipe(net="resnet9", weights="imagenet"))
    assert "unknown net 'resnet19'" in refused(Recipe(net="resnet19", weights="imagenet"))


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "googlenet", "inception-v3", "efficientnet-b0"])
def test_features_of_a_published_file_are_those_of_torchvisions_module(
    name: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    more = {"init_weights": False} if name in ("vgg11", "googlenet", "inception-v3") else {}
    module = models.get_model(name.replace("-", "_"), **more)  # with its auxiliary classifiers, as the files have them
    module.transform_input = True
    pixels = pixels_for(type("Sized", (), {"image": DOWNLOADABLE[name].geometry.shape})())
    module = randomised(module.eval(), pixels)
    file = DOWNLOADABLE[name].file
    data = as_file(module.state_dict(), legacy_layout=name == "resnet18")
    (own_cache / "weights").mkdir(parents=True)
    (own_cache / "weights" / file).write_bytes(data)
    monkeypatch.setattr(type(DOWNLOADABLE[name]), "hash_prefix", property(lambda self: ""))
    backbone = backbone_of(Recipe(net=name, weights="imagenet"))
    for last in ("fc", "classifier"):
        if isinstance(getattr(module, last, None), torch.nn.Linear):
            setattr(module, last, torch.nn.Identity())
        elif hasattr(module, last):
            module.classifier[-1] = torch.nn.Identity()
    theirs = run_torch(module.eval(), pixels, IMAGENET.mean, IMAGENET.std)
    del module
    assert furthest(backbone.features(pixels), theirs) < 1e-4


def test_features_at_any_layer_come_from_a_file_too(tmp_path: Path, saved: bytes) -> None:
    made = from_file(tmp_path, saved, side=0)
    whole, cut = of_net("resnet18", weights=made.weights), of_net("resnet18", "conv5", weights=made.weights)
    pixels = golden_pixels(whole.extractor.geometry)
    assert np.array_equal(whole.extractor.features(pixels), backbone_of(made).features(pixels))
    planes = cut.extractor.features(pixels).reshape(2, *cut.shape)
    assert np.allclose(planes.mean(axis=(2, 3)), whole.extractor.features(pixels), atol=1e-4)
    assert whole.about["weights"]["file"] == "own.pth"
    assert not whole.notes


@pytest.mark.parametrize("said", [{"at": "blocks"}, {"pool": True}, {"weights": "none"}])
def test_of_another_packages_net_there_are_features_before_the_head_only(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="timm:resnet18"):
        of_net("timm:resnet18", **said)


def test_a_file_may_be_legacy_wrapped_nested_half_or_safetensors(tmp_path: Path, resnet18: Any) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    state = resnet18.state_dict()
    wrapped = {f"module.{key}": tensor for key, tensor in state.items()}
    expected = backbone_of(from_file(tmp_path, as_file(state))).context
    for data in (
        as_file(state, legacy_layout=True),
        as_file({"epoch": 3, "optimizer": {"lr": [0.1]}, "state_dict": wrapped}),
        as_file({"model": state}, legacy_layout=True),
        safetensors.save({key: tensor.contiguous() for key, tensor in state.items()}),
    ):
        assert backbone_of(from_file(tmp_path, data)).context == expected
    half = backbone_of(from_file(tmp_path, as_file({key: tensor.half() for key, tensor in state.items()})))
    assert half.context != expected
    assert half.dimension == 512


def test_safetensors_and_plain_legacy_files_need_no_torch(
    tmp_path: Path, resnet18: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    monkeypatch.setattr(weights_file, "require_torch", without_torch)
    state = resnet18.state_dict()
    assert backbone_of(from_file(tmp_path, safetensors.save(state))).dimension == 512
    assert backbone_of(from_file(tmp_path, as_file(state, legacy_layout=True))).dimension == 512
    message = refused(from_file(tmp_path, as_file(state)))
    assert "pip install 'kopal[torch]'" in message
    assert ".safetensors" in message


def test_the_embedded_nets_own_layout_works_as_a_file_too(tmp_path: Path) -> None:
    from kopal.nets import weights

    data = weights._package_file(weights.PRETRAINED["efficientnet-lite0"])
    backbone = backbone_of(from_file(tmp_path, data, "efficientnet-lite0", side=0))
    assert backbone.context == backbone_of(Recipe()).context
    assert backbone.origin == {"file": "own.pth", "sha256": hashlib.sha256(data).hexdigest()}


def test_our_own_names_are_read_back(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    from kopal.nets import registry, weights

    arrays = weights.pretrained_weights(registry.build("efficientnet-lite0"))
    made = from_file(tmp_path, safetensors.save(arrays), "efficientnet-lite0", side=0)
    assert backbone_of(made).context == backbone_of(Recipe()).context


def test_a_classifier_of_another_size_is_left_out_and_said(tmp_path: Path, resnet18: Any) -> None:
    torch = pytest.importorskip("torch")
    other = {**resnet18.state_dict(), "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    notes: list[Any] = []
    made = from_file(tmp_path, as_file(other))
    assert backbone_of(made, False, notes.append).dimension == 512
    assert "classifier of 7 classes" in notes[0].text


def test_weights_of_another_net_name_the_first_layer_that_disagrees(tmp_path: Path, saved: bytes) -> None:
    message = refused(from_file(tmp_path, saved, "resnet50"))
    assert "'layer1.0.conv1': weight (64, 64, 3, 3), not weight (64, 64, 1, 1)" in message
    assert "as net resnet50 has" in message
    assert "'conv1': weight (64, 3, 7, 7)" in refused(from_file(tmp_path, saved, "vgg11", side=0))


@pytest.mark.parametrize("change", ["missing", "left over", "not finite"])
def test_nothing_is_missing_left_over_or_not_a_number(change: str, tmp_path: Path, resnet18: Any) -> None:
    state = {key: tensor.clone() for key, tensor in resnet18.state_dict().items()}
    if change == "missing":
        del state["layer2.0.bn1.bias"]
    elif change == "left over":
        state["extra.weight"] = state["conv1.weight"]
    else:
        state["layer2.0.bn1.bias"][3] = float("nan")
    words = {"missing": "layer2.0.bn1", "left over": "layers with parameters", "not finite": "not finite"}
    assert words[change] in refused(from_file(tmp_path, as_file(state)))


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy_layout", [True, False])
def test_a_hostile_file_is_refused_and_nothing_in_it_runs(tmp_path: Path, legacy_layout: bool) -> None:
    data = as_file({"weight": Bomb(tmp_path / "mark")}, legacy_layout)
    message = refused(from_file(tmp_path, data))
    assert "mkdir" in message
    assert not (tmp_path / "mark").exists()


def test_a_plain_pickle_with_a_call_is_refused_without_torch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_file, "require_torch", without_torch)
    with pytest.raises(WeightsError):
        weights_in(legacy({"w": Named("os", "mkdir")}), "bad.pth")
    with pytest.raises(WeightsError):
        weights_in(dump(Named("os", "mkdir")), "bad.pth")
    assert list(weights_in(SMALL, "good.pth")) == ["weight", "turned", "one"]


def test_a_damaged_file_is_an_error_wherever_it_is_cut(saved: bytes, resnet18: Any, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    for data in (saved, as_file(resnet18.state_dict(), legacy_layout=True), safetensors.save(resnet18.state_dict())):
        for length in (0, 1, 9, 100, len(data) // 2, len(data) - 1):
            with pytest.raises(WeightsError):
                backbone_of(from_file(tmp_path, data[:length]))


def test_what_is_no_weights_file_says_so(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    assert "not a weights file by its content" in refused(from_file(tmp_path, b"<html>not found</html>"))
    assert "holds a list" in refused(from_file(tmp_path, as_file([torch.zeros(2)])))
    assert "holds 'lr', a float" in refused(from_file(tmp_path, as_file({"lr": 0.1})))
    assert "holds no tensors" in refused(from_file(tmp_path, as_file({})))
    assert "no such file" in refused(recipe(net="resnet18", weights=str(tmp_path / "nowhere.pth")))
    with pytest.raises(UsageError, match="unknown weights 'imagnet'"):
        recipe(weights="imagnet")


def test_the_model_file_and_the_report_say_where_the_weights_come_from(
    photos: Path, tmp_path: Path, saved: bytes, own_cache: Path
) -> None:
    made = replace(from_file(tmp_path, saved), penalties=QUICK.penalties, folds=QUICK.folds)
    run = train(photos, tmp_path / "out", made)
    expected = {"file": "own.pth", "sha256": hashlib.sha256(saved).hexdigest()}
    card = load(run.model).card
    assert card.provenance["weights"] == expected
    assert card.provenance["recipe"]["weights"] == "own.pth"
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["weights"] == expected
    assert str(tmp_path).encode() not in run.model.read_bytes()
    assert card.geometry == replace(DOWNLOADABLE["resnet18"].geometry, height=64, width=64)
    assert used_knobs(made)["image_size"] == 64
    published = train(photos, tmp_path / "embedded", QUICK).classifier.card.provenance["weights"]
    assert set(published) == {"source", "licence", "sha256"}


def test_the_command_line_fetches_only_where_it_is_told_to(
    kopal: Callable[..., tuple[int, str, str]], photos: Path, tmp_path: Path, own_cache: Path, published: list[str]
) -> None:
    command = ("train", photos, "--net", "resnet18", "--weights", "imagenet", "--image-size", 64, "--effort", "quick")
    code, _, err = kopal(*command, "--out", tmp_path / "first")
    assert code == 2
    assert "--download" in err
    assert not published
    code, out, err = kopal(*command, "--out", tmp_path / "first", "--download")
    assert code == 0, err
    assert "note: fetching https://" in out
    assert len(published) == 1
    assert "in the cache" in kopal("nets")[1]
    code, _, err = kopal("train", photos, "--net", "resnet18", "--download")
    assert code == 2
    assert "--weights imagenet" in err


TIMM = "timm:test_convnext"


@pytest.fixture(scope="module")
def convnext() -> Any:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    return timm.create_model("test_convnext")


def timm_file(tmp_path: Path, state: Any) -> Recipe:
    return from_file(tmp_path, as_file(state), TIMM)


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_a_timm_net_with_weights_from_a_file_gives_timms_features(name: str, tmp_path: Path) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    state = timm.create_model(name).state_dict()
    module = timm.create_model(name, num_classes=0)
    module.load_state_dict({key: tensor for key, tensor in state.items() if key in module.state_dict()})
    backbone = backbone_of(from_file(tmp_path, as_file(state), f"timm:{name}", side=0))
    assert backbone.net.image == (160, 160, 3)
    assert backbone.geometry.filter == "bicubic"
    assert backbone.dimension == 64
    assert set(backbone.origin) == {"file", "sha256"}
    pixels = pixels_for(backbone.net)
    theirs = run_torch(module.eval(), pixels, [0.5], [0.5])
    assert np.abs(backbone.features(pixels) - theirs).max() < 1e-4 * np.ptp(theirs)
    # Half the side: timm fits a transformer's positions to it.
    assert backbone_of(from_file(tmp_path, as_file(state), f"timm:{name}", side=80)).net.image == (80, 80, 3)


@pytest.mark.parametrize("name", ["test_convnext", "test_vit", "test_resnet", "test_efficientnet"])
def test_a_timm_nets_own_head_can_be_asked_where_it_is_imagenets(name: str, tmp_path: Path) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    module = timm.create_model(name)
    backbone = backbone_of(from_file(tmp_path, as_file(module.state_dict()), f"timm:{name}", side=0))
    assert backbone.head is not None
    weight, bias = backbone.head
    pixels = pixels_for(backbone.net)
    config = module.pretrained_cfg
    theirs = run_torch(module.eval(), pixels, config["mean"], config["std"])
    np.testing.assert_allclose(backbone.features(pixels) @ weight.T + bias, theirs, atol=1e-3 * np.ptp(theirs))
    five = timm.create_model(name, num_classes=5).state_dict()
    assert backbone_of(from_file(tmp_path, as_file(five), f"timm:{name}", side=0)).head is None


def test_a_timm_backbone_becomes_a_model_file(tmp_path: Path, convnext: Any, photos: Path) -> None:
    made = replace(timm_file(tmp_path, convnext.state_dict()), penalties=(1.0,), folds=2)
    run = train(photos, tmp_path / "out", made, cache=False)
    assert run.classifier.card.net == TIMM
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert np.array_equal(load(run.model).scores(pixels), run.classifier.scores(pixels))


def test_timm_weights_with_another_classifier_or_none_fit_and_of_another_net_do_not(
    tmp_path: Path, convnext: Any, saved: bytes
) -> None:
    torch = pytest.importorskip("torch")
    state = convnext.state_dict()
    expected = backbone_of(timm_file(tmp_path, state)).context
    five = {**state, "head.fc.weight": torch.zeros(5, 64), "head.fc.bias": torch.zeros(5)}
    assert backbone_of(timm_file(tmp_path, five)).context == expected
    none = {key: tensor for key, tensor in state.items() if "head.fc" not in key}
    assert backbone_of(timm_file(tmp_path, none)).context == expected
    for key in ("stages.0.blocks.0.norm.weight", "head.norm.bias"):
        for changed in (state, none):
            less = {name: value for name, value in changed.items() if name != key}
            assert f"lacks '{key}'" in refused(timm_file(tmp_path, less))
    assert "'extra' left over" in refused(timm_file(tmp_path, {**none, "extra": torch.zeros(1)}))
    assert "lacks 'stem.0.weight', has 'conv1.weight' left over" in refused(from_file(tmp_path, saved, TIMM))
    assert "(3,), not (64,)" in refused(timm_file(tmp_path, {**state, "head.norm.bias": torch.zeros(3)}))


def test_timm_weights_that_are_not_here_say_what_to_do(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    client = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(client, "try_to_load_from_cache", lambda *where, **more: None)
    monkeypatch.setattr(client, "hf_hub_download", lambda *where, **more: pytest.fail("it was fetched"))
    message = refused(Recipe(net=TIMM, weights="imagenet"))
    for words in ("--download", "huggingface.co/timm/test_convnext.r160_in1k", "--weights FILE"):
        assert words in message

    def unreachable(*where: str, **more: Any) -> str:
        raise client.errors.LocalEntryNotFoundError("cannot reach the hub")

    monkeypatch.setattr(client, "hf_hub_download", unreachable)
    assert "cannot reach the hub" in refused(Recipe(net=TIMM, weights="imagenet"), download=True)
    assert "timm:convnext_atto" in refused(Recipe(net="timm:convnext_ato", weights="imagenet"))
    assert "module of your own" in refused(Recipe(net="mine.py:make", weights="imagenet"))


def test_timm_weights_are_fetched_through_its_hub_and_compared_ever_after(
    own_cache: Path, tmp_path: Path, convnext: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, safetensors = pytest.importorskip("huggingface_hub"), pytest.importorskip("safetensors.torch")
    file = tmp_path / "model.safetensors"
    file.write_bytes(safetensors.save(convnext.state_dict()))
    asked = []

    def hub(repository: str, name: str, revision: str | None) -> str:
        asked.append((repository, name))
        return str(file)

    monkeypatch.setattr(client, "try_to_load_from_cache", lambda *where, **more: str(file) if asked else None)
    monkeypatch.setattr(client, "hf_hub_download", hub)
    wanted = Recipe(net=TIMM, weights="imagenet", image_size=64)
    first = backbone_of(wanted, download=True)
    assert backbone_of(wanted).context == first.context
    assert asked == [("timm/test_convnext.r160_in1k", "model.safetensors")]
    assert first.origin["licence"] == "apache-2.0"
    assert first.origin["source"] == "https://huggingface.co/timm/test_convnext.r160_in1k"
    file.write_bytes(safetensors.save({key: tensor + 1 for key, tensor in convnext.state_dict().items()}))
    assert "as when it was first used" in refused(wanted)
