"""Fine-tuning: what is frozen stays, what is kept is exact, what comes out is never worse than the probe."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kopal.errors import UsageError
from kopal.features import Backbone
from kopal.fit import activations, loop, reach, tune
from kopal.fit.augment import Augment
from kopal.fit.checkpoint import Checkpoints
from kopal.fit.cut import halves
from kopal.fit.engine import start
from kopal.fit.fitted import Fitted, Kept
from kopal.fit.freedom import Freedom, depth, freedom, stages
from kopal.fit.keeping import Keeping
from kopal.fit.learner import Photographs
from kopal.fit.lesson import carved
from kopal.fit.loop import Epoch
from kopal.fit.lr_finder import Sweep
from kopal.fit.stepping import Stepping
from kopal.fit.tune import Tuned, Tuning
from kopal.fit.tune_probe import probe
from kopal.images import Geometry
from kopal.log import Note, silent
from kopal.nets.layers import (
    Activation,
    BatchNorm,
    Chain,
    Conv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Normalize,
    Residual,
    around,
    chain,
)
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.pixels import PixelPhotos
from kopal.recipes import Recipe, recipe

torch = pytest.importorskip("torch")

from kopal.fit.torch_learner import TorchLearner  # noqa: E402 - only where PyTorch is

Arrays = dict[str, NDArray[Any]]
Kopal = Callable[..., tuple[int, str, str]]
SIDE, CLASSES = 16, 3
GEOMETRY = Geometry(SIDE, SIDE)


def block(out: int, stride: int = 1) -> Chain:
    conv = Conv(out, (3, 3), (stride, stride), around(1), bias=False)
    return chain(conv=conv, norm=BatchNorm(), relu=Activation("relu"))


BODY = Net(
    "small",
    (SIDE, SIDE, 3),
    chain(
        normalize=Normalize((0.5,), (0.5,)),
        stem=block(8, 2),
        stage1=Residual(block(8)),
        stage2=block(12, 2),
        stage3=block(16),
        pool=GlobalAvgPool(),
        flatten=Flatten(),
        dropout=Dropout(0.1),
    ),
)
WHOLE = BODY.then("head", Linear(CLASSES))


def weights_of(net: Net) -> Arrays:
    """Random weights, and norms that have seen something."""
    rng = np.random.default_rng(1)
    found: Arrays = dict(start(net, rng, "he"))
    for name, array in found.items():
        if name.endswith("running_mean"):
            found[name] = rng.normal(0, 0.2, array.shape).astype(np.float32)
        elif name.endswith("running_var"):
            found[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(BODY, weights_of(BODY), GEOMETRY)


@pytest.fixture(scope="module")
def photos() -> PixelPhotos:
    """Stripes of three directions in noise: what random features tell only in part, and learned ones better."""
    rng = np.random.default_rng(2)
    labels = np.arange(120) % CLASSES
    down, right = np.mgrid[:SIDE, :SIDE]
    along = np.stack([down, right, down + right])[labels] + rng.integers(0, 8, (len(labels), 1, 1))
    stripes = 128 + 28 * np.sign(np.sin(along * np.pi / 2 + 0.1))
    pixels = stripes[..., None] + rng.normal(0, 30, (len(labels), SIDE, SIDE, 3))
    return PixelPhotos(
        tuple("abc"),
        tuple(map(str, range(len(labels)))),
        labels,
        np.full(len(labels), "train"),
        tuple(index.to_bytes(4, "big") for index in range(len(labels))),
        np.arange(len(labels)),
        np.clip(pixels, 0, 255).astype(np.uint8),
        GEOMETRY,
    )


def of(mode: str, **knobs: Any) -> Recipe:
    small = {"epochs": 3, "batch": 16, "folds": 3, "penalties": (1.0, 0.1), "device": "cpu", "amp": "off"}
    return recipe(tune=mode, **{**small, **knobs})


def tuned(made: Recipe, photos: PixelPhotos, backbone: Backbone, **given: Any) -> tuple[Tuned, list[Any]]:
    told: list[Any] = []
    return tune.learn(made, photos, backbone, told.append, **given), told


def told_of(kind: type, told: list[Any]) -> Any:
    return next(noun for noun in told if isinstance(noun, kind))


def test_stages_are_the_layers_that_learn() -> None:
    assert stages(WHOLE) == ("stem", "stage1", "stage2", "stage3", "head")
    lite = build("efficientnet-lite0", 3)
    assert stages(lite) == ("stem", *(f"stage{number}" for number in range(1, 8)), "features", "head")
    assert [depth(mode, WHOLE) for mode in ("head", "last:1", "last:3", "all", "gradual")] == [1, 1, 3, 5, 5]


def test_too_many_stages_are_refused_with_their_names(photos: PixelPhotos, backbone: Backbone) -> None:
    with pytest.raises(UsageError, match=r"5 stages(.|\n)*last:5; the stages are stem, stage1, stage2, stage3, head"):
        tune.learn(of("last:99"), photos, backbone)


@pytest.mark.parametrize("mode", ["last:0", "last:", "last:x", "some", "last:-1", ""])
def test_what_is_no_mode_is_refused(mode: str) -> None:
    with pytest.raises(UsageError, match="head, last:N"):
        recipe(tune=mode)


def test_a_fine_tuning_has_defaults_of_its_own_under_what_is_said() -> None:
    assert recipe().optimiser == "sgd" == recipe(tune="head").optimiser
    assert (recipe(tune="all").optimiser, recipe(tune="all", optimiser="sgd").optimiser) == ("adamw", "sgd")
    assert recipe(tune="all").rate < recipe(tune="all", optimiser="sgd").rate
    assert recipe(tune="last:2", rate=0.5, budget="2m").rate == 0.5
    assert recipe(tune="last:2", budget="2m").epochs == 0
    assert recipe(tune="all", optimiser="adam").penalty == 0


def test_to_tune_needs_pretrained_weights() -> None:
    with pytest.raises(UsageError, match="nothing to fine-tune"):
        recipe(tune="all", weights="none")


def test_each_stage_learns_slower_than_the_one_above_and_the_scales_of_norms_not_at_all() -> None:
    free = freedom(WHOLE, 3, decay=0.5)
    assert free.factors == {
        "stage2.conv.weight": 0.25,
        "stage2.norm.bias": 0.25,
        "stage3.conv.weight": 0.5,
        "stage3.norm.bias": 0.5,
        "head.weight": 1.0,
        "head.bias": 1.0,
    }


def a_batch(net: Net, count: int = 6) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (count, *net.image), dtype=np.uint8), rng.integers(0, CLASSES, count)


def moved(net: Net, free: Freedom | None, rate: float, how: Stepping) -> Arrays:
    """What one step adds to each array."""
    weights = weights_of(net)
    learner = TorchLearner(net, weights, how, free=free)
    learner.learn(*a_batch(net), rate)
    return {name: array - weights[name] for name, array in learner.weights().items()}


def test_the_rate_of_a_stage_is_its_factor_times_the_rate() -> None:
    sgd = Stepping(momentum=0.0)
    names = [f"{stage}.conv.weight" for stage in ("stem", "stage2", "stage3")] + ["head.weight"]
    same = moved(WHOLE, freedom(WHOLE, 5, decay=1.0), 100.0, sgd)
    slower = moved(WHOLE, freedom(WHOLE, 5, decay=0.5), 100.0, sgd)
    for name, factor in zip(names, (1 / 16, 1 / 4, 1 / 2, 1), strict=True):
        assert np.abs(same[name]).max() > 1e-3
        np.testing.assert_allclose(slower[name], factor * same[name], atol=1e-4 * np.abs(same[name]).max())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_at_rate_0_nothing_changes(optimiser: Any) -> None:
    how = Stepping(optimiser, penalty=0.1, average=0.9)
    assert not any(change.any() for change in moved(WHOLE, freedom(WHOLE, 5), 0.0, how).values())
    assert any(change.any() for change in moved(WHOLE, freedom(WHOLE, 5), 1e-3, how).values())


def test_gradual_lets_one_stage_after_the_other_learn() -> None:
    free = freedom(WHOLE, 5, steps=12)
    learner = TorchLearner(WHOLE, weights_of(WHOLE), Stepping(momentum=0.0), free=free)
    joined: dict[str, int] = {}
    before = learner.weights()
    for step in range(8):
        learner.learn(*a_batch(WHOLE), 0.01)
        after = learner.weights()
        for name in stages(WHOLE):
            key = next(full for full in after if full.startswith(name) and full.endswith("weight"))
            if (after[key] != before[key]).any():
                joined.setdefault(name, step)
        before = after
    assert joined == {"head": 0, "stage3": 0, "stage2": 2, "stage1": 4, "stem": 6}


@pytest.mark.parametrize("mode", ["last:2", "last:3", "gradual", "all"])
def test_what_is_frozen_stays_to_the_bit(mode: str, photos: PixelPhotos, backbone: Backbone) -> None:
    result, _ = tuned(of(mode, epochs=8, rate=0.01, average=0.8, augment="none"), photos, backbone)
    assert result.kept.epoch
    first = {**result.probe.weights}
    changed = {name for name, array in result.weights.items() if array.tobytes() != first[name].tobytes()}
    assert changed == set(freedom(WHOLE, depth(mode, WHOLE)).factors)
    assert not any("running" in name or name.endswith("norm.weight") for name in changed)


def test_it_starts_with_the_scores_of_the_probe(photos: PixelPhotos, backbone: Backbone) -> None:
    made = of("last:2")
    learning, validation = carved(made, photos)
    assert learning.rows is not None
    fitted = probe(made, photos, learning.rows, backbone, None, silent)
    pixels = validation.take(slice(None))
    # The oracle: the head on what ONNX Runtime makes of the pixels.
    wanted = backbone.features(pixels) @ fitted.weights["head.weight"].T + fitted.weights["head.bias"]
    learner = TorchLearner(fitted.net, fitted.weights, free=freedom(fitted.net, 2))
    np.testing.assert_allclose(learner.scores(pixels), wanted, atol=1e-4)
    _, told = tuned(made, photos, backbone)
    assert told_of(Tuning, told).probe_loss == pytest.approx(tune.calibrated_loss(wanted, validation.labels), abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_kept_activations_give_what_the_whole_net_gives(count: int, photos: PixelPhotos) -> None:
    cut, weights = halves(WHOLE, count), weights_of(WHOLE)
    assert cut is not None
    few = Photographs(photos.pixels, photos.labels[:9], np.arange(9))
    both = activations.computed(cut, weights, few, GEOMETRY, mirrored=True)
    assert both.pixels.dtype == np.float16
    whole, upper = TorchLearner(WHOLE, weights), TorchLearner(cut.upper, weights)
    images = photos.pixels[:9]
    for number, seen in enumerate((images, images[:, :, ::-1])):
        wanted = whole.scores(np.ascontiguousarray(seen))
        assert np.abs(upper.scores(both.pixels[:, number]) - wanted).max() <= 1e-3 * np.ptp(wanted)
    assert np.abs(both.pixels[:, 0] - both.pixels[:, 1]).max() > 0.01


def test_a_step_on_kept_activations_is_a_step_of_the_whole_net(photos: PixelPhotos) -> None:
    net = replace(WHOLE, body=Chain(tuple(row for row in WHOLE.body.layers if row[0] != "dropout")))
    weights, cut, free = weights_of(net), halves(net, 3), freedom(net, 3)
    assert cut is not None
    few = Photographs(photos.pixels, photos.labels[:16], np.arange(16))
    below = activations.computed(cut, weights, few, GEOMETRY)
    whole, upper = (TorchLearner(one, weights, Stepping(momentum=0.0), free=free) for one in (net, cut.upper))
    whole.learn(photos.pixels[:16], few.labels, 0.1)
    upper.learn(below.pixels, few.labels, 0.1)
    for name in free.factors:
        wanted = whole.weights()[name] - weights[name]
        assert np.abs(upper.weights()[name] - weights[name] - wanted).max() <= 5e-3 * np.abs(wanted).max(), name


def test_mixup_and_mirrors_of_activations_follow_the_draws_of_pixels() -> None:
    labels, images = np.array([0, 1, 2, 1]), np.array([3, 1, 8, 6])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    both = np.stack([pixels, pixels[:, :, ::-1]], axis=1).astype(np.float16)
    augment = Augment(flip=0.5, mixup=1.0)
    # Pixels are a net's activations too, of no layers: mixed in whole numbers, so to the nearest one.
    wanted, targets = augment.apply(pixels, labels, images, 7, 2, CLASSES)
    found, own = activations.guises(augment, 7, CLASSES)(both, labels, images, 2)
    assert np.abs(found - wanted).max() <= 1.01
    np.testing.assert_allclose(own, targets, atol=2e-3)
    alone, same = activations.guises(Augment(flip=0.5), 7, CLASSES)(both, labels, images, 2)
    np.testing.assert_array_equal(alone, Augment(flip=0.5).apply(pixels, labels, images, 7, 2, CLASSES)[0])
    assert same is labels


def test_without_room_for_activations_the_forward_is_full(
    photos: PixelPhotos, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told = tuned(of("last:3", epochs=1), photos, backbone)
    assert told_of(Tuning, told).below
    monkeypatch.setattr(activations, "MOST_BYTES", 1000)
    result, told = tuned(of("last:3", epochs=1), photos, backbone)
    assert not told_of(Tuning, told).below
    assert result.weights["stem.conv.weight"].tobytes() == result.probe.weights["stem.conv.weight"].tobytes()


def test_it_beats_the_probe_where_there_is_something_to_learn(photos: PixelPhotos, backbone: Backbone) -> None:
    result, told = tuned(of("all", epochs=12, rate=0.01, average=0.8, augment="none"), photos, backbone)
    assert result.kept.epoch
    assert result.kept.loss < 0.8 * result.kept.probe_loss
    assert told[-1] == result.kept
    assert [epoch.number for epoch in result.history if epoch.best][-1] == result.kept.epoch


@pytest.mark.parametrize("rate", [30.0, 1e30])
def test_a_destructive_rate_keeps_the_probe_and_says_so(rate: float, photos: PixelPhotos, backbone: Backbone) -> None:
    with np.errstate(all="ignore"):
        result, told = tuned(of("last:3", rate=rate, optimiser="sgd", warmup=0.0), photos, backbone)
    assert result.kept.epoch == 0
    assert result.kept.loss == result.kept.probe_loss
    assert told_of(Kept, told).epoch == 0
    assert not any(epoch.best for epoch in result.history)
    for name, array in result.probe.weights.items():
        assert result.weights[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("mode", ["gradual", "last:3"])
def test_where_no_rate_brings_the_loss_down_the_probe_is_kept(
    mode: str, photos: PixelPhotos, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = Sweep(np.geomspace(1e-6, 1, 100), np.ones(100))
    assert not flat.learns
    monkeypatch.setattr(tune, "sweep", lambda *arguments: flat)
    result, told = tuned(of(mode, rate="auto"), photos, backbone)
    assert (result.kept.epoch, result.history) == (0, ())
    assert "the probe is as good as it gets here, and is kept" in told_of(Note, told).text
    assert not any(isinstance(noun, Sweep) for noun in told)
    for name, array in result.probe.weights.items():
        assert result.weights[name].tobytes() == array.tobytes()
    stopped = Fitted(result.net, result.weights, GEOMETRY, np.zeros((1, 3), np.float32), rate=result.rate).stopped
    assert stopped == "no learning rate brought the loss down"


def test_what_fine_tuning_gained_is_one_line() -> None:
    kept = Kept(3, 0.2, 0.899, 0.3, 0.88, ("head",))
    assert kept.in_words().startswith("fine-tuning gained +1.9 points of validation accuracy over the head")
    assert "0.880 → 0.899" in kept.in_words()
    assert "gained -0.5 points" in replace(kept, accuracy=0.875).in_words()
    assert "gained nothing" in replace(kept, epoch=0, accuracy=0.88).in_words()


def test_the_budget_reaches_as_deep_as_five_epochs_go(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(WHOLE)
    monkeypatch.setattr(reach, "seconds_a_photo", lambda recipe, net, weights, stages: float(stages))

    def reached(left: float, most: int = 5, forward: float = 0.0) -> int:
        return reach.reach(of("all"), WHOLE, weights, most, (100, 20), forward, left)

    # 110 photos an epoch (a validated one costs half), 5 epochs, as many seconds a photo as there are stages.
    assert [reached(left) for left in (0, 1090, 1110, 1660, 2210, 2760, 1e9)] == [0, 0, 2, 3, 4, 5, 5]
    assert reached(1e9, most=3) == 3
    assert reached(1110, forward=0.5) == 0
    assert [reached(left, most=1) for left in (540, 560)] == [0, 1], "the head alone only where no more was asked for"


def test_where_nothing_fits_no_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "seconds_a_photo", lambda *given: pytest.fail("timed"))
    assert reach.reach(of("all"), WHOLE, weights_of(WHOLE), 5, (100, 20), 0.0, -3.0) == 0
    assert reach.reach(of("all"), WHOLE, weights_of(WHOLE), 5, (100, 20), 10.0, 100.0) == 0


def test_the_probe_is_kept_at_once_where_not_even_the_fewest_stages_fit(
    photos: PixelPhotos, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "seconds_a_photo", lambda recipe, net, weights, stages: 1.0)
    monkeypatch.setattr(tune, "ground", lambda *given: pytest.fail("photos go through the net for nothing"))
    made = of("last:4", epochs=0, budget=60.0)
    result, told = tuned(made, photos, backbone)
    assert (result.kept.epoch, result.history, result.kept.stages) == (0, (), ())
    assert result.kept.why.endswith("s left are too few to fine-tune")
    assert told[-1] is result.kept
    assert not any(isinstance(noun, Tuning) for noun in told), "no plan is told that is not followed"
    monkeypatch.undo()
    other, _ = tuned(of("last:4", epochs=1), photos, backbone)
    assert other.kept.probe_accuracy == result.kept.probe_accuracy
    assert result.kept.probe_loss == pytest.approx(other.kept.probe_loss, rel=1e-3), "activations are kept in 16 bits"
    for name, array in other.probe.weights.items():
        np.testing.assert_array_equal(result.weights[name], array)


def test_nothing_is_learned_after_the_budget_is_spent(
    photos: PixelPhotos, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, lay = [0.0], tune.ground

    def ticking() -> float:
        now[0] += 1e-3
        return now[0]

    def slow(*given: Any) -> Any:
        now[0] += 100.0
        return lay(*given)

    monkeypatch.setattr(tune, "perf_counter", ticking)
    monkeypatch.setattr(tune, "reach", lambda *given: 2)
    monkeypatch.setattr(tune, "ground", slow)
    result, _ = tuned(of("last:4", epochs=0, budget=60.0), photos, backbone)
    assert result.history == ()
    assert result.kept.why == "the 0 s left are too few to fine-tune"
    monkeypatch.setattr(tune, "ground", lay)
    result, _ = tuned(of("last:4", epochs=2, budget=60.0), photos, backbone)
    assert result.history and not result.kept.why


def test_a_budget_is_kept(photos: PixelPhotos, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=0.02)
    monkeypatch.setattr(tune, "FINISHING", 0.0)
    for room in (tune, loop, reach):
        monkeypatch.setattr(room, "perf_counter", lambda: next(clock))
    began = next(clock)
    result, _ = tuned(of("last:3", epochs=100_000, patience=0, budget=4.0), photos, backbone)
    assert 3.6 <= next(clock) - began <= 4.4
    assert result.history[-1].stopped == "the time is used up"


@pytest.mark.parametrize("mode", ["last:3", "gradual"])
def test_it_goes_on_where_it_was_cut_short(mode: str, photos: PixelPhotos, backbone: Backbone, tmp_path: Path) -> None:
    made = of(mode, epochs=4)
    # Measured once: layouts in memory round differently, and here the clock can hardly tell them apart.
    speeds = tmp_path / "speed.json"
    whole, _ = tuned(made, photos, backbone, speeds=speeds)

    def cut(noun: object) -> None:
        if isinstance(noun, Epoch) and noun.number == 3:
            raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path / "kept", {})
    with pytest.raises(KeyboardInterrupt):
        tune.learn(made, photos, backbone, cut, Keeping(checkpoints, every=2), speeds=speeds)
    result, told = tuned(made, photos, backbone, keeping=Keeping(saved=checkpoints.unpacked(checkpoints.read())))
    assert told_of(Note, told).text.startswith("going on after epoch 2")
    assert [row.validation_loss for row in result.history] == [row.validation_loss for row in whole.history]
    for name, array in whole.weights.items():
        assert result.weights[name].tobytes() == array.tobytes()


def test_the_command_fine_tunes_and_says_what_it_kept(photos_of_three: Path, tmp_path: Path, kopal: Kopal) -> None:
    options = ("--tune", "last:2", "--epochs", "1", "--batch", "8", "--device", "cpu", "--amp", "off")
    code, out, err = kopal("train", photos_of_three, "--out", tmp_path / "run", *options)
    assert code == 0, err
    assert "fine-tune 2 of 10 stages of efficientnet-lite0" in out
    assert "it starts as the probe" in out
    assert "kept: the " in out
    assert out.count("advice: fine-tuning gained") == 1
    assert "Fine-tuning gained" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["kept"]["stages"] == ["features", "head"]
    assert report["measured_on"] == "test part"
    knobs = json.loads((tmp_path / "run" / "recipe.json").read_text(encoding="utf-8"))
    assert knobs["tune"] == "last:2"
    assert "init" not in knobs
    from kopal import images
    from kopal.classifier import load

    classifier = load(tmp_path / "run" / "model.onnx")
    assert "weights" in classifier.card.provenance
    names = sorted(photos_of_three.rglob("*.jpg"))
    right = classifier.predict(np.stack([images.read(name, classifier.geometry) for name in names]))
    assert np.mean([name.parent.name == said for name, said in zip(names, right, strict=True)]) > 0.8


def test_the_command_keeps_the_probe_where_the_budget_is_too_short_and_says_so(
    photos_of_three: Path, tmp_path: Path, kopal: Kopal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "reach", lambda *given: 0)
    options = ("--tune", "last:4", "--budget", "1m", "--device", "cpu", "--amp", "off")
    code, out, err = kopal("train", photos_of_three, "--out", tmp_path / "run", *options)
    assert code == 0, err
    assert out.count("too few to fine-tune") == 1
    assert "kept: the probe, as" in out and "plan: fine-tune" not in out
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["stopped"] == report["kept"]["why"]
    assert (report["epochs"], report["measured_on"]) == (0, "test part")


@pytest.fixture
def photos_of_three(tmp_path: Path) -> Path:
    from conftest import make_photos

    return make_photos(tmp_path / "photos", count=6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tune", "last:99"), "the stages are stem, stage1"),
        (("--tune", "all", "--image-size", "64", "--init", "he"), "--image-size, --init together with --tune all"),
        (("--tune", "all", "--nproc", "2"), "several processes with --tune all"),
        (("--tune", "all", "--net", "resnet18"), "weights of resnet18 are not on this machine"),
        (("--tune", "head", "--epochs", "3"), "--epochs would do nothing"),
    ],
)
def test_the_command_refuses_in_words(
    options: tuple[str, ...], message: str, photos_of_three: Path, tmp_path: Path, kopal: Kopal
) -> None:
    code, out, err = kopal("train", photos_of_three, "--out", tmp_path / "run", *options)
    assert code == 2
    assert message in " ".join((out + err).split())
    assert not (tmp_path / "run").exists()


def test_without_torch_the_error_names_the_command(
    photos_of_three: Path, tmp_path: Path, kopal: Kopal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    code, _, err = kopal("train", photos_of_three, "--out", tmp_path / "run", "--tune", "all")
    assert code == 2
    assert "pip install 'kopal[torch]'" in err
