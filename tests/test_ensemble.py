"""Several models in one file: the mean of their probabilities by class name, and what cannot be combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import attacks
import kopal
import kopal.ensemble
from conftest import CLASSES, QUICK, make_photos
from kopal.arrays import softmax
from kopal.audit import marks
from kopal.classifier import Classifier, load
from kopal.datasets import open_dataset
from kopal.ensemble import combine
from kopal.errors import ModelFileError, UsageError
from kopal.evaluate import evaluate_dataset
from kopal.images import Geometry
from kopal.metrics import log_loss
from kopal.pipeline import train
from kopal.run import Run
from linear_models import SMALL, TEN, model, pixels, reordered


def mean(members: Sequence[Classifier], images: np.ndarray) -> np.ndarray:
    """The members' mean in NumPy, columns by name."""
    names = sorted(members[0].classes)
    tables = [
        member.predict_proba(images).astype(np.float64)[:, [member.classes.index(name) for name in names]]
        for member in members
    ]
    return np.mean(tables, axis=0)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("classes", [TEN[:2], TEN], ids=["2 classes", "10 classes"])
def test_its_probabilities_are_the_mean_of_the_members(count: int, classes: tuple[str, ...]) -> None:
    members = [model(seed, classes) for seed in range(count)]
    both = combine(members)
    images = pixels(both)
    np.testing.assert_allclose(both.predict_proba(images), mean(members, images), atol=1e-6)
    assert np.ptp(both.predict_proba(images), axis=0).min() > 0.1
    assert both.verify() <= 1e-6


def test_scores_are_the_log_of_probabilities_also_with_many_classes() -> None:
    many = tuple(f"{number:04}" for number in range(1500))
    members = [model(seed, many) for seed in range(2)]
    both = combine(members)
    images = pixels(both, 5)
    scores, probabilities = both.scores(images), both.predict_proba(images)
    assert both.card.temperature == 1
    np.testing.assert_allclose(probabilities, softmax(scores.astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(probabilities, mean(members, images), atol=1e-6)
    np.testing.assert_allclose(np.exp(scores.astype(np.float64)), mean(members, images), atol=1e-6)


def test_a_probability_of_zero_has_a_finite_score() -> None:
    both = combine([model(bias=[0, 900], classes=TEN[:2]), model(bias=[0, 800], classes=TEN[:2])])
    images = pixels(both, 3)
    assert np.isfinite(both.scores(images)).all()
    np.testing.assert_allclose(both.predict_proba(images)[0], [0, 1], atol=1e-37)


def test_of_equal_probabilities_the_first_class_wins() -> None:
    both = combine([model(bias=[0, 2, 5], classes=TEN[:3]), model(bias=[0, 5, 2], classes=TEN[:3])])
    images = pixels(both, 3)
    assert both.predict_proba(images)[0, 1] == both.predict_proba(images)[0, 2]
    assert both.predict(images) == [TEN[1]] * 3


def test_classes_are_matched_by_name_and_come_out_sorted() -> None:
    first, second = model(0), model(1)
    order = np.random.default_rng(0).permutation(10)
    shuffled = reordered(second, order)
    images = pixels(first)
    assert shuffled.classes != second.classes
    assert shuffled.predict(images) == second.predict(images)
    expected = combine([first, second])
    for members in ([first, shuffled], [shuffled, first]):
        both = combine(members)
        assert both.classes == TEN
        np.testing.assert_allclose(both.predict_proba(images), expected.predict_proba(images), atol=1e-6)
        np.testing.assert_allclose(both.predict_proba(images), mean(members, images), atol=1e-6)
    alike = combine([shuffled, reordered(first, order)])
    assert alike.classes == TEN
    np.testing.assert_allclose(alike.predict_proba(images), expected.predict_proba(images), atol=1e-6)


def test_matching_columns_by_place_would_fail_the_test_above() -> None:
    first, second = model(0), reordered(model(1), range(9, -1, -1))
    images = pixels(first)
    by_place = (first.predict_proba(images) + second.predict_proba(images)) / 2
    assert np.abs(by_place - mean([first, second], images)).max() > 0.1


def test_an_ensemble_of_ensembles_gives_each_file_one_vote() -> None:
    a, b, c = model(0), model(1), model(2)
    images = pixels(a)
    nested = combine([combine([a, b]), c])
    expected = (a.predict_proba(images) + b.predict_proba(images)) / 4 + c.predict_proba(images) / 2
    np.testing.assert_allclose(nested.predict_proba(images), expected, atol=1e-6)
    assert nested.card.net == "ensemble of (ensemble of 2 x linear) and linear"
    again = combine([nested, combine([nested, a])])
    assert again.verify() <= 1e-6
    assert sum(node.op_type == "Gemm" for node in again.graph().graph.node) == 3


def test_its_log_loss_is_never_above_the_members_mean() -> None:
    members = [model(seed) for seed in range(3)]
    both = combine(members)
    images = pixels(both)
    labels = np.random.default_rng(3).integers(0, 10, len(images))
    losses = [log_loss(member.scores(images), labels, member.card.temperature) for member in members]
    assert log_loss(both.scores(images), labels) <= np.mean(losses)


def test_plain_onnxruntime_gives_the_same_numbers_and_the_graph_is_sound(tmp_path: Path) -> None:
    both = combine([model(0), reordered(model(1), range(9, -1, -1))])
    both.save(tmp_path / "both.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "both.onnx"), full_check=True)
    session = onnxruntime.InferenceSession((tmp_path / "both.onnx").read_bytes())
    images = pixels(both)
    scores, probabilities, label = session.run(None, {"pixels": images})
    np.testing.assert_allclose(scores, both.scores(images), atol=1e-5)
    np.testing.assert_allclose(probabilities, both.predict_proba(images), atol=1e-6)
    assert [both.classes[index] for index in label] == both.predict(images)
    again = load(tmp_path / "both.onnx")
    assert again.digest == both.digest == combine([model(0), reordered(model(1), range(9, -1, -1))]).digest
    assert np.array_equal(again.scores(images), both.scores(images))


def test_hostile_names_of_classes_and_nets_come_through() -> None:
    names = ("two\nlines", "\udcff\udc80", "🐈", "a\0b", "x" * 5000)
    long = combine([model(0, names, net="n" * 9000), model(1, names, net="\x1b[31m")])
    assert set(long.classes) == set(names)
    assert len(long.card.net) < 100
    with pytest.raises(UsageError) as caught:
        combine([model(0, names, net="\x1b[31m"), model(1, ("\x1b[31m", "y" * 5000), net="\x1b[31m")])
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_the_name_tells_the_nets_and_long_ones_are_shortened() -> None:
    assert combine([model(0, net="garment"), model(1)]).card.net == "ensemble of garment and linear"
    assert combine([model(0), model(1)]).card.net == "ensemble of 2 x linear"
    many = combine([model(seed, net=f"net{seed // 2}") for seed in range(10)])
    assert many.card.net == "ensemble of 2 x net0, 2 x net1 and 3 more"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (list, "ensemble of 0 model"),
        (lambda: [model()], "ensemble of 1 model"),
        (lambda: [model(0), model(1), model(0)], "models 1 and 3 are the same file"),
        (lambda: [model(0), model(1, TEN[:9])], "model 2 (linear) lacks class 9"),
        (lambda: [model(0, TEN[:9]), model(1)], "model 2 (linear) has class 9 besides"),
        (lambda: [model(0, TEN[:2]), model(1, ("class 0", "pes"))], "lacks class 1 and has pes besides"),
        (lambda: [model(0), model(1, TEN[:2])], "lacks class 2, class 3, class 4, class 5, class 6 and 3 more"),
        (lambda: [model(0), model(1, geometry=Geometry(5, 4))], "resized to 4 x 5"),
        (lambda: [model(0), model(1, geometry=Geometry(4, 5, 1))], "transparency over white, grey"),
        (lambda: [model(0), model(1, geometry=replace(SMALL, filter="nearest"))], "Pillow's nearest filter"),
        (lambda: [model(0), model(1, geometry=replace(SMALL, crop=0.875))], "times 0.875"),
    ],
)
def test_models_that_cannot_be_combined_are_refused_in_words(
    members: Callable[[], list[Classifier]], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        combine(members())
    assert words in caught.value.happened
    assert caught.value.expected
    assert caught.value.fix


def test_a_graph_of_another_opset_is_refused() -> None:
    def older(found: onnx.ModelProto) -> None:
        found.opset_import[0].version = 16

    other = Classifier.from_bytes(attacks.changed(attacks.file_of(model(1)), older))
    with pytest.raises(ModelFileError, match=r"model 2 \(linear\): the graph speaks version \[16\]"):
        combine([model(0), other])


def test_weights_that_no_file_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopal.ensemble, "MOST_BYTES", 3000)
    combine([model(0, TEN[:2]), model(1, TEN[:2])])
    with pytest.raises(UsageError, match="GB"):
        combine([model(0), model(1)])


def test_two_heads_on_one_frozen_net_cost_as_one_and_are_not_worse_than_the_worse(
    trained: Run, photos: Path, tmp_path: Path
) -> None:
    other = train(photos, tmp_path / "other", replace(QUICK, penalties=(0.001,)))
    members = [trained.classifier, other.classifier]
    both = combine(members)
    assert both.size < 1.01 * trained.classifier.size
    counts = {op: sum(node.op_type == op for node in both.graph().graph.node) for op in ("Transpose", "Conv", "ArgMax")}
    single = sum(node.op_type == "Conv" for node in trained.classifier.graph().graph.node)
    assert counts == {"Transpose": 1, "Conv": single, "ArgMax": 1}
    assert both.card.net == "ensemble of 2 x efficientnet-lite0"
    new = open_dataset(make_photos(tmp_path / "new", CLASSES, count=8, first=500))
    reports = [evaluate_dataset(classifier, new)[0] for classifier in (both, *members)]
    assert reports[0].accuracy >= min(reports[1].accuracy, reports[2].accuracy)
    assert evaluate_dataset(both, open_dataset(photos))[2] == 24
    entries = both.card.provenance["members"]
    assert [entry["sha256"] for entry in entries] == [member.digest for member in members]
    assert [entry["photos"] for entry in entries] == [24, 24]
    assert entries[0]["weights"]["licence"]


def test_the_photos_that_any_member_learned_from_are_known() -> None:
    digests = [bytes([number]) * 32 for number in range(6)]
    first, second = (model(0, learned_from=marks(digests[:4])), model(1, learned_from=marks(digests[2:])))
    both = combine([first, second])
    assert both.card.provenance["learned_from"] == marks(digests)
    assert both.card.provenance["photos"] == 6
    partly = combine([first, model(2)])
    assert "photos" not in partly.card.provenance
    assert partly.card.provenance["learned_from"] == marks(digests[:4])
    assert "learned_from" not in combine([model(1), model(2)]).card.provenance


@pytest.mark.parametrize("damaged", ["AAAAA", "č"])
def test_a_damaged_list_of_photos_is_a_model_file_error(damaged: str) -> None:
    with pytest.raises(ModelFileError, match="photos that it learned from"):
        combine([model(0, learned_from=damaged), model(1)])


def test_columns_are_gathered_only_by_a_list_in_the_file() -> None:
    shuffled = combine([model(0), reordered(model(1), range(9, -1, -1))])
    data = attacks.file_of(shuffled)
    assert any(node.op_type == "Gather" for node in shuffled.graph().graph.node)

    def computed(found: onnx.ModelProto) -> None:
        at = next(index for index, node in enumerate(found.graph.node) if node.op_type == "Gather")
        found.graph.node.insert(at, helper.make_node("Identity", ["columns2"], ["where"]))
        found.graph.node[at + 1].input[1] = "where"

    def table(found: onnx.ModelProto) -> None:
        places = next(tensor for tensor in found.graph.initializer if tensor.name == "columns2")
        places.dims[:] = [5, 2]

    for change in (computed, table):
        with pytest.raises(ModelFileError, match="no list in the file"):
            Classifier.from_bytes(attacks.changed(data, change))


def test_combine_is_a_public_name() -> None:
    assert kopal.combine is combine
