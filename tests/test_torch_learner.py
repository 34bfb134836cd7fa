"""A net that learns: the same steps in PyTorch written out by hand, on our own engine, and after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from kopal.errors import UsageError
from kopal.fit.engine import EngineLearner, start
from kopal.fit.learner import Learner
from kopal.fit.speed import Choice
from kopal.fit.stepping import Stepping
from kopal.nets.layers import Activation, BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool, Normalize, around, chain
from kopal.nets.net import Net
from kopal.nets.registry import build

torch = pytest.importorskip("torch")
nn = torch.nn

from kopal.fit.torch_learner import TorchLearner  # noqa: E402 - only where PyTorch is

Arrays = dict[str, NDArray[Any]]
Batch = tuple[NDArray[np.uint8], NDArray[Any]]
ENGINES: dict[str, Callable[..., Learner]] = {"numpy": EngineLearner, "torch": TorchLearner}
NORMED = Net(
    "normed",
    (8, 9, 3),
    chain(
        normalize=Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
        conv=Conv(6, (3, 3), padding=around(1), bias=False),
        norm=BatchNorm(),
        relu=Activation("relu"),
        pool=MaxPool((2, 2), (2, 2)),
        flatten=Flatten(),
        head=Linear(4),
    ),
)
DROPPING = replace(NORMED, body=chain(**dict(NORMED.body.layers[:-1]), drop=Dropout(0.5), head=Linear(4)))
NETS = {"garment": build("garment"), "normed": NORMED}
PLAIN = {
    "garment": lambda: nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    ),
    "normed": lambda: nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(96, 4)),
    ),
}
OPTIMISERS = {
    "sgd": Stepping(momentum=0.0, penalty=0.01),
    "momentum": Stepping(momentum=0.9),
    "nesterov": Stepping(momentum=0.9, nesterov=True, penalty=0.1),
    "adam": Stepping("adam"),
    "adam with L2": Stepping("adam", penalty=0.1),
    "adamw": Stepping("adamw", penalty=0.5),
}
AROUND = {"bare": {}, "all": {"smoothing": 0.1, "clip": 0.5, "average": 0.8}}


def weights_of(net: Net) -> Arrays:
    return start(net, np.random.default_rng(0), "he")


def batches(net: Net, count: int, mixed: bool = False, size: int = 6) -> list[Batch]:
    rng = np.random.default_rng(1)
    classes = net.body.layers[-1][1].out  # type: ignore[union-attr]
    made = []
    for _ in range(count):
        labels = rng.integers(0, classes, size)
        targets = rng.dirichlet(np.ones(classes), size).astype(np.float32) if mixed else labels
        made.append((rng.integers(0, 256, (size, *net.image), dtype=np.uint8), targets))
    return made


def rate_of(stepping: Stepping, step: int) -> float:
    return (0.02 if stepping.optimiser == "sgd" else 0.002) / (1 + step)


def taught(learner: Learner, some: list[Batch], stepping: Stepping, first: int = 0) -> list[float]:
    return [
        learner.learn(pixels, targets, rate_of(stepping, step), len(pixels))
        for step, (pixels, targets) in enumerate(some, start=first)
    ]


def by_hand(name: str, weights: Arrays, some: list[Batch], stepping: Stepping) -> tuple[list[float], Arrays, Arrays]:
    """The losses, the weights and their running average of a loop as anybody would write it in PyTorch."""
    module, normalize = PLAIN[name]().train(), NETS[name].body.layers[0][1]
    own = {key: tensor for key, tensor in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    kept = dict(zip(weights, own.values(), strict=True))
    for key, tensor in kept.items():
        tensor.copy_(torch.from_numpy(weights[key].copy()))
    groups = [
        {"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": stepping.penalty},
        {"params": [p for p in module.parameters() if p.ndim == 1], "weight_decay": 0},
    ]
    optimiser = {
        "sgd": lambda: torch.optim.SGD(groups, 1, stepping.momentum, nesterov=stepping.nesterov),
        "adam": lambda: torch.optim.Adam(groups, 1),
        "adamw": lambda: torch.optim.AdamW(groups, 1),
    }[stepping.optimiser]()
    criterion = nn.CrossEntropyLoss(label_smoothing=stepping.smoothing)
    average = {key: tensor.clone() for key, tensor in kept.items()}
    losses = []
    for step, (pixels, targets) in enumerate(some):
        images = (pixels / 255 - np.array(normalize.mean)) / np.array(normalize.std)  # type: ignore[union-attr]
        optimiser.param_groups[0]["lr"] = optimiser.param_groups[1]["lr"] = rate_of(stepping, step)
        optimiser.zero_grad()
        loss = criterion(module(torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32)), torch.tensor(targets))
        loss.backward()
        if stepping.clip:
            nn.utils.clip_grad_norm_(module.parameters(), stepping.clip)
        optimiser.step()
        losses.append(loss.item())
        share = min(stepping.average, (step + 1) / (step + 11))
        for key, tensor in kept.items():
            average[key] = share * average[key] + (1 - share) * tensor
    return losses, {key: t.numpy() for key, t in kept.items()}, {key: t.numpy() for key, t in average.items()}


def apart(ours: Arrays, theirs: Arrays) -> float:
    assert list(ours) == list(theirs)
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def now(learner: Learner) -> Arrays:
    """The weights themselves, where `weights` gives their average."""
    state = learner.state()
    return {name.removeprefix("weights."): array for name, array in state.items() if name.startswith("weights.")}


@pytest.mark.parametrize("mixed", [False, True], ids=["labels", "distributions"])
@pytest.mark.parametrize("parts", AROUND)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("engine", ENGINES)
def test_steps_equal_a_loop_written_by_hand(engine: str, name: str, optimiser: str, parts: str, mixed: bool) -> None:
    net, stepping = NETS[name], replace(OPTIMISERS[optimiser], **AROUND[parts])
    some, weights = batches(net, 5, mixed), weights_of(net)
    learner = ENGINES[engine](net, weights, stepping, 0)
    losses, theirs, average = by_hand(name, weights, some, stepping)
    np.testing.assert_allclose(taught(learner, some, stepping), losses, rtol=1e-5)
    assert apart(now(learner), theirs) < 1e-5
    assert apart(dict(learner.weights()), average if stepping.average else theirs) < 1e-5


@pytest.mark.parametrize(
    "change", [{"momentum": 0.8}, {"nesterov": True}, {"penalty": 0.1}, {"smoothing": 0.1}, {"clip": 0.5}]
)
def test_the_comparison_sees_every_part_of_a_step(change: dict[str, float]) -> None:
    stepping = OPTIMISERS["momentum"]
    some, weights = batches(NORMED, 5), weights_of(NORMED)
    _, theirs, _ = by_hand("normed", weights, some, replace(stepping, **change))
    learner = TorchLearner(NORMED, weights, stepping)
    taught(learner, some, stepping)
    assert apart(now(learner), theirs) > 1e-4


@pytest.mark.parametrize("parts", AROUND)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", NETS)
def test_both_engines_come_to_the_same_weights_and_scores(name: str, optimiser: str, parts: str) -> None:
    net, stepping = NETS[name], replace(OPTIMISERS[optimiser], **AROUND[parts])
    ours, theirs = (make(net, weights_of(net), stepping, 0) for make in ENGINES.values())
    some = batches(net, 5, mixed=True)
    np.testing.assert_allclose(taught(ours, some, stepping), taught(theirs, some, stepping), rtol=1e-5)
    assert apart(dict(ours.weights()), dict(theirs.weights())) < 1e-5
    np.testing.assert_allclose(ours.scores(some[0][0]), theirs.scores(some[0][0]), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_part_of_a_batch_counts_for_its_share(engine: str) -> None:
    net, stepping = NETS["garment"], Stepping(momentum=0.0)
    weights, ((pixels, labels),) = weights_of(net), batches(net, 1)
    whole, part, other = (ENGINES[engine](net, weights, stepping, 0) for _ in range(3))
    loss = whole.learn(pixels, labels, 0.1, 6)
    shares = part.learn(pixels[:2], labels[:2], 0.1, 6), other.learn(pixels[2:], labels[2:], 0.1, 6)
    assert sum(shares) == pytest.approx(loss, rel=1e-5)
    for name, array in now(whole).items():
        moved = now(part)[name] + now(other)[name] - 2 * weights[name]
        np.testing.assert_allclose(moved, array - weights[name], atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_number_the_batch_is_all_there_is(engine: str) -> None:
    net, ((pixels, labels),) = NETS["garment"], batches(NETS["garment"], 1)
    said, unsaid = (ENGINES[engine](net, weights_of(net), Stepping(), 0) for _ in range(2))
    assert said.learn(pixels, labels, 0.1, 6) == unsaid.learn(pixels, labels, 0.1)
    np.testing.assert_equal(unsaid.state(), said.state())


@pytest.mark.parametrize("parts", AROUND)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_restored_learner_goes_on_to_the_bit(engine: str, optimiser: str, parts: str) -> None:
    stepping = replace(OPTIMISERS[optimiser], **AROUND[parts])
    some, weights = batches(DROPPING, 6), weights_of(DROPPING)
    learner = ENGINES[engine](DROPPING, weights, stepping, 5)
    taught(learner, some[:3], stepping)
    state = learner.state()
    # The first goes on before the second starts from what it left: the state must not change with it.
    losses = taught(learner, some[3:], stepping, 3)
    again = ENGINES[engine](DROPPING, weights, stepping, 5)
    again.restore(load(save(dict(state))))
    assert taught(again, some[3:], stepping, 3) == losses
    np.testing.assert_equal(again.state(), learner.state())
    np.testing.assert_equal(again.weights(), learner.weights())
    np.testing.assert_equal(again.scores(some[0][0]), learner.scores(some[0][0]))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_put_back_at_its_start_a_learner_has_no_memory_of_the_steps_between(engine: str, optimiser: str) -> None:
    stepping = replace(OPTIMISERS[optimiser], average=0.9)
    some = batches(DROPPING, 3)
    fresh, used = (ENGINES[engine](DROPPING, weights_of(DROPPING), stepping, 0) for _ in range(2))
    before = used.state()
    taught(used, some, stepping)
    used.restore(before)
    np.testing.assert_equal(used.state(), fresh.state())
    assert taught(used, some, stepping) == taught(fresh, some, stepping)
    np.testing.assert_equal(used.state(), fresh.state())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_weights_given_to_a_learner_stay_as_they_were(engine: str) -> None:
    stepping = Stepping(average=0.5)
    weights = weights_of(NORMED)
    taught(ENGINES[engine](NORMED, weights, stepping, 0), batches(NORMED, 2), stepping)
    np.testing.assert_equal(weights, weights_of(NORMED))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_learner_gives_away_does_not_change_with_it(engine: str) -> None:
    learner = ENGINES[engine](NORMED, weights_of(NORMED), Stepping("adam"), 0)
    some = batches(NORMED, 2)
    taught(learner, some, Stepping("adam"))
    given = {**learner.state(), **learner.weights()}
    before = {name: array.copy() for name, array in given.items()}
    taught(learner, some, Stepping("adam"))
    np.testing.assert_equal(given, before)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_dropped_depends_on_seed_and_step_alone(engine: str) -> None:
    some = batches(DROPPING, 3)

    def end(seed: int) -> Arrays:
        torch.manual_seed(int(np.random.default_rng().integers(1 << 31)))
        learner = ENGINES[engine](DROPPING, weights_of(DROPPING), Stepping(), seed)
        taught(learner, some, Stepping())
        return dict(learner.weights())

    first = end(0)
    np.testing.assert_equal(end(0), first)
    assert apart(end(1), first) > 1e-4


def test_learning_leaves_the_generator_of_others_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    taught(TorchLearner(DROPPING, weights_of(DROPPING)), batches(DROPPING, 1), Stepping())
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_read_only_and_strided_pixels_and_narrow_labels_are_as_good(engine: str) -> None:
    ((pixels, labels),) = batches(NORMED, 1)
    expected, learner = (ENGINES[engine](NORMED, weights_of(NORMED), Stepping(), 0) for _ in range(2))
    taught(expected, [(pixels, labels)], Stepping())
    pixels.setflags(write=False)
    labels.setflags(write=False)
    taught(learner, [(np.asfortranarray(pixels), labels.astype(np.int32))], Stepping())
    np.testing.assert_array_equal(learner.scores(pixels), expected.scores(pixels))
    wide = np.eye(4)[labels]
    assert learner.learn(pixels, wide, 0.1) == expected.learn(pixels, wide.astype(np.float32), 0.1)


@pytest.mark.parametrize("choice", [Choice(channels_last=False), Choice(bfloat16=True)], ids=Choice.in_words)
def test_another_way_of_computing_gives_about_the_same_weights_in_float32(choice: Choice) -> None:
    stepping = OPTIMISERS["momentum"]
    some = batches(NORMED, 4)
    learner, usual = (
        TorchLearner(NORMED, weights_of(NORMED), stepping, 0, choice),
        TorchLearner(NORMED, weights_of(NORMED)),
    )
    taught(learner, some, stepping)
    taught(usual, some, stepping)
    assert all(array.dtype == np.float32 for array in learner.weights().values())
    difference = apart(learner.weights(), usual.weights())
    assert (1e-5 < difference < 0.05) if choice.bfloat16 else difference < 1e-5
    assert learner.scores(some[0][0]).dtype == np.float32


def test_too_little_memory_is_one_error_that_says_what_takes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, (pixels, labels) = TorchLearner(NORMED, weights_of(NORMED)), batches(NORMED, 1)[0]

    def greedy(*given: Any) -> Any:
        return torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr("kopal.backends.torch_backend.forward", greedy)
    monkeypatch.setattr("kopal.fit.torch_learner.forward", greedy)
    with pytest.raises(UsageError, match="out of memory on cpu with 6 photos of 8 x 9 at once") as caught:
        learner.learn(pixels, labels, 0.1)
    assert "--batch 3" in caught.value.fix
    with pytest.raises(UsageError, match="out of memory"):
        learner.scores(pixels)


def test_other_errors_of_pytorch_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kopal.backends.torch_backend.forward", lambda *given: torch.zeros(2) @ torch.zeros(3))
    pixels, labels = batches(NORMED, 1)[0]
    with pytest.raises(RuntimeError, match="size"):
        TorchLearner(NORMED, weights_of(NORMED)).learn(pixels, labels, 0.1)
