"""The sweep over learning rates: what it reads off a curve, that it leaves no trace, and what trains well."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kopal.errors import DataError, Diverged
from kopal.fit import engine, linear
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Lesson
from kopal.fit.lr_finder import STEPS, Sweep, advice, sweep
from kopal.fit.stepping import Stepping
from kopal.nets.registry import build
from kopal.pipeline import find_rate, train
from kopal.recipes import recipe
from kopal.report.lr_plot import lr_picture, regions
from kopal.report.lr_table import lr_lines
from kopal.stopping import MaxSteps

Kopal = Callable[..., tuple[int, str, str]]
HALF_WAY, BRIM = 3e-3, 0.05


class Known:
    """A learner whose loss is a known function of the rate: a smooth step down at HALF_WAY, a wall from BRIM on."""

    def __init__(self, loss: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> None:
        self.loss, self.noise, self.rng = loss, noise, np.random.default_rng(seed)
        self.learned: list[int] = []
        self.restored = 0

    def learn(self, pixels: np.ndarray, targets: np.ndarray, rate: float, of: int) -> float:
        self.learned.extend(pixels[:, 0, 0, 0].tolist())
        return self.loss(rate) + self.noise * self.rng.normal()

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("a sweep scores nothing")

    weights = scores

    def state(self) -> Mapping[str, np.ndarray]:
        return {"restored": np.array(self.restored)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.restored = int(state["restored"]) + 1


def down_and_up(rate: float) -> float:
    return 2.3 - 1.5 / (1 + (rate / HALF_WAY) ** -2) + (rate / BRIM) ** 3


def flat(rate: float) -> float:
    return 2.3


def photographs(count: int = 30, shape: tuple[int, int, int] = (1, 1, 1)) -> Photographs:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    if shape == (1, 1, 1):
        pixels = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Photographs(pixels, np.arange(count) % 3)


LESSON = Lesson(8, lambda done, losses: 0.0, MaxSteps(1))


def swept(loss: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> Sweep:
    return sweep(Known(loss, noise, seed), photographs(), LESSON)


def within(factor: float, value: float, truth: float) -> bool:
    return truth / factor < value < truth * factor


def test_the_points_of_a_known_curve_are_found() -> None:
    found = swept(down_and_up)
    fine = np.geomspace(1e-6, 1, 20_000)
    loss = np.array([down_and_up(rate) for rate in fine])
    fallen = (loss[0] - loss) / (loss[0] - loss.min())
    assert within(1.25, found.steepest, fine[np.gradient(loss).argmin()])
    assert within(1.25, found.too_low, fine[(fallen > 0.1).argmax()])
    assert within(1.25, found.suggested, fine[(fallen > 0.9).argmax()])
    # The bell is a few steps wide, so that the wall is felt a little before.
    assert within(1.5, found.lowest, fine[loss.argmin()])
    assert within(1.5, found.diverging, fine[loss.argmin() :][(loss[loss.argmin() :] > 2.3).argmax()])


@pytest.mark.parametrize("seed", range(20))
def test_noise_from_batch_to_batch_does_not_move_the_points_far(seed: int) -> None:
    found, calm = swept(down_and_up, 0.15, seed), swept(down_and_up)
    assert found.learns
    assert within(2.5, found.steepest, calm.steepest)
    assert within(2.5, found.valley, calm.valley)
    assert within(2, found.suggested, calm.suggested)


@pytest.mark.parametrize("seed", range(20))
def test_the_regions_stand_in_the_order_of_their_rates(seed: int) -> None:
    found = swept(down_and_up, 0.15, seed)
    assert found.rates[0] < found.too_low <= found.steepest <= found.lowest < found.diverging
    assert found.too_low <= found.valley <= found.lowest
    assert found.too_low <= found.suggested <= found.lowest
    named = list(regions(found))
    assert [name for name, _, _ in named] == ["too low", "good", "high", "diverging"]
    assert all(right == left for (_, _, right), (_, left, _) in pairwise(named))


def test_one_lost_step_does_not_weigh_on_those_before_it() -> None:
    def wall(rate: float) -> float:
        return 1e30 if rate > BRIM else down_and_up(rate)

    assert within(1.5, swept(wall).suggested, swept(down_and_up).suggested)
    assert swept(wall).smoothed.max() < 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_sweep_ends_where_the_loss_is_no_number(bad: float) -> None:
    found = swept(lambda rate: bad if rate > BRIM else down_and_up(rate))
    assert np.isfinite(found.losses).all()
    assert within(1.2, found.lost, BRIM)
    assert found.diverging <= found.lost
    assert any("diverging" in line for line in advice(found))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_loss_that_never_falls_is_said_to_learn_nothing(noise: float, seed: int) -> None:
    found = swept(flat, noise, seed)
    assert not found.learns
    assert len(advice(found)) == 1
    assert advice(found)[0].startswith("no rate brought the loss down")
    assert not list(lr_lines(found))


def test_a_loss_that_only_rises_learns_nothing() -> None:
    found = swept(lambda rate: 2.3 + rate)
    assert not found.learns
    assert found.lowest == found.too_low == found.suggested == found.rates[0]


def test_a_loss_that_is_no_number_from_the_start_is_an_error_and_the_learner_is_put_back() -> None:
    learner = Known(lambda rate: float("nan"))
    with pytest.raises(Diverged, match="not finite at any learning rate"):
        sweep(learner, photographs(), LESSON)
    assert learner.restored == 1


def test_a_small_set_is_gone_through_again_and_none_is_an_error() -> None:
    learner = Known(flat)
    assert len(sweep(learner, photographs(10), LESSON).rates) == STEPS
    assert sorted(set(learner.learned)) == list(range(10))
    with pytest.raises(DataError):
        sweep(learner, photographs(0), LESSON)


def test_progress_reaches_its_end_also_where_the_sweep_stops_early() -> None:
    told: list[tuple[int, int]] = []
    sweep(Known(down_and_up), photographs(), LESSON, progress=lambda done, of: told.append((done, of)))
    assert told[0] == (1, STEPS)
    assert told[-1] == (STEPS, STEPS)


def learner_of(kind: str, stepping: Stepping) -> Learner:
    if kind == "linear":
        w, b = linear.start(np.random.default_rng(0), 3, 28 * 28)
        return linear.LinearLearner(None, w, b, stepping.momentum, stepping.penalty)
    net = build("garment" if kind == "torch" else kind, 3, (28, 28, 1))
    weights = engine.start(net, np.random.default_rng(0), "he")
    if kind != "torch":
        return engine.EngineLearner(net, weights, stepping, 0)
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from kopal.fit.torch_learner import TorchLearner

    return TorchLearner(net, weights, stepping, 0)


@pytest.mark.parametrize("warm", [0, 2])
@pytest.mark.parametrize(
    "stepping", [Stepping(), Stepping("adamw", penalty=0.01), Stepping(average=0.99)], ids=["sgd", "adamw", "average"]
)
@pytest.mark.parametrize("kind", ["linear", "mlp", "garment", "torch"])
def test_the_learner_is_put_back_bit_for_bit(kind: str, stepping: Stepping, warm: int) -> None:
    if kind == "linear" and stepping != Stepping():
        pytest.skip("the gradient by hand knows SGD only")
    photos = photographs(16, (28, 28, 1))

    def two_steps(learner: Learner) -> list[float]:
        return [learner.learn(photos.pixels[:8], photos.labels[:8], 0.01, 8) for _ in range(2)]

    ours, untouched = learner_of(kind, stepping), learner_of(kind, stepping)
    for learner in (ours, untouched):
        for _ in range(warm):
            learner.learn(photos.pixels[8:], photos.labels[8:], 0.01, 8)
    with np.errstate(all="ignore"):
        sweep(ours, photos, LESSON, steps=40)
    assert_equal(ours.state(), untouched.state())
    # What the state does not say would show in the next steps.
    assert two_steps(ours) == two_steps(untouched)
    assert_equal(ours.state(), untouched.state())


def assert_equal(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_a_state_is_no_window_on_a_learner_that_goes_on() -> None:
    photos = photographs(8, (28, 28, 1))
    for kind in ("linear", "mlp"):
        learner = learner_of(kind, Stepping())
        learner.learn(photos.pixels, photos.labels, 0.01, 8)
        state = learner.state()
        kept = {name: array.copy() for name, array in state.items()}
        learner.learn(photos.pixels, photos.labels, 0.01, 8)
        assert_equal(state, kept)


def test_a_rate_found_trains_about_as_well_as_one_set_by_hand(tmp_path: Path) -> None:
    by_hand = train("digits", tmp_path / "hand", recipe(net="garment", epochs=4, rate=0.02))
    knobs = recipe(net="garment", epochs=4, rate="auto")
    told: list[object] = []
    found = train("digits", tmp_path / "auto", knobs, log=told.append)
    assert found.report.accuracy > by_hand.report.accuracy - 0.03
    (seen,) = (noun for noun in told if isinstance(noun, Sweep))
    report = json.loads((tmp_path / "auto" / "report.json").read_text(encoding="utf-8"))
    assert report["rate"] == seen.suggested == find_rate("digits", knobs).suggested


def test_no_rate_is_taken_from_a_sweep_that_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no learning rate brings the loss down"):
        train("digits", tmp_path / "run", recipe(net="mlp", init="zero", rate="auto"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_picture_is_drawn_whatever_the_curve(kind: str) -> None:
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    for loss in (down_and_up, flat, lambda rate: 2.3 - rate / 5, lambda rate: 1e30 if rate > BRIM else 2 - 20 * rate):
        found = swept(loss)
        picture = lr_picture(found, "net on $photos_1$", kind)
        assert picture.startswith(starts[kind])
        assert picture == lr_picture(found, "net on $photos_1$", kind)


def test_the_picture_names_regions_and_points() -> None:
    words = lr_picture(swept(down_and_up), "net on photos", "svg").decode()
    for name in ("too low", "good", "high", "diverging", "steepest", "valley", "suggested", "net on photos"):
        assert f">{name}" in words


def test_the_command_finds_draws_and_says_what_to_do_next(kopal: Kopal, tmp_path: Path) -> None:
    plot = tmp_path / "lr.svg"
    code, out, _ = kopal("lr-find", "digits", "--net", "mlp", "--l2", 0.001, "--nesterov", "--seed", 3, "--plot", plot)
    assert code == 0
    for name in ("steepest", "valley", "suggested", "lowest", "too low", "drawn in"):
        assert name in out
    assert plot.read_bytes().startswith(b"<?xml")
    command = out.splitlines()[-1].split(" train ")[1]
    assert command.startswith("digits --net mlp --nesterov --l2 0.001 --seed 3 --lr 0.0")


def test_the_command_as_json(kopal: Kopal, tmp_path: Path) -> None:
    code, out, _ = kopal("lr-find", "digits", "--net", "mlp", "--json", "--plot", tmp_path / "lr.png")
    value = json.loads(out)
    assert code == 0
    assert value["learns"] is True
    assert value["too_low"] < value["suggested"] <= value["lowest"]
    assert len(value["rates"]) == len(value["losses"]) == len(value["smoothed"])
    assert Path(value["picture"]).exists()


def test_the_command_on_few_photos_goes_through_them_again(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, out, _ = kopal("lr-find", photos, "--net", "mlp", "--image-size", 16, "--plot", tmp_path / "lr.svg")
    assert code == 0, out
    assert "drawn in" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "features are frozen"),
        (("--net", "mlp", "--plot", "lr.bmp"), "lr.bmp"),
        (("--net", "no-such-net"), "no-such-net"),
        (("--net", "mlp", "--batch", 0), "batch 0"),
        (("--net", "mlp", "--optimiser", "lion"), "lion"),
    ],
)
def test_bad_input_to_the_command_is_one_clear_error(
    kopal: Kopal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("lr-find", "digits", *options)
    assert code == 2
    assert words in err
    assert err.startswith("error: ")
    assert "drawn" not in out
    assert not list(tmp_path.iterdir())
