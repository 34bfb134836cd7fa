"""Whatever stands in a model.onnx: nothing of it is executed, the process lives, it is a classifier or one error."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import attacks
import kopal
from hostile_reader import Outcome, outcomes
from kopal.classifier import Classifier
from kopal.errors import ModelFileError
from kopal.model_file import _seal_entry
from model_mutants import mutants, sound
from pickled import Bomb, pickled

MEGABYTES = 2000
SOUND = attacks.file_of(attacks.sound())


def told(files: list[bytes]) -> list[Outcome]:
    return list(outcomes(files, "models", MEGABYTES))


def test_changed_models_are_classifiers_or_one_error_and_nothing_is_executed() -> None:
    made = list(mutants(seed=1, count=400))
    found = told([mutant.data for mutant in made])
    assert [(mutant.way, one.words) for mutant, one in zip(made, found, strict=True) if one.finding] == []
    # The seal alone would refuse everything: many must come as far as the checks behind it, and some are harmless.
    assert len({one.words[:24] for one in found}) > 25
    assert sum(one.kind == "read" for one in found) > 20


def test_the_models_that_are_changed_are_accepted_as_they_are() -> None:
    assert [one.kind for one in told(list(sound()))] == ["read"] * len(sound())


def test_pickles_under_the_name_of_a_model_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    files = pickled(str(trap)).values()
    found = told([*files, *(data + _seal_entry(data) for data in files)])
    assert {one.kind for one in found} == {"refused"}
    assert not trap.exists()


def test_the_search_would_notice_an_execution_a_crash_and_a_stray_exception(tmp_path: Path) -> None:
    """Each is put in the way of a load in a process of its own."""
    import subprocess
    import sys

    harm = {
        "execution": "import os; model_file.unseal = lambda data: os.listdir('.') and unseal(data)",
        "crash": "import os; model_file.unseal = lambda data: os.abort()",
        "exception": "model_file.unseal = lambda data: {}['a']",
    }
    for kind, line in harm.items():
        script = tmp_path / f"{kind}.py"
        script.write_text(
            "import sys\n"
            f"sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
            "import hostile_reader\n"
            "from kopal import model_file\n"
            "make, unseal = hostile_reader.models, model_file.unseal\n"
            "def harmed():\n"
            "    read = make()\n"
            f"    {line}\n"
            "    return read\n"
            "hostile_reader.models = harmed\n"
            "hostile_reader.main('models', 2000)\n"
        )
        fed = len(SOUND).to_bytes(4, "little") + SOUND
        done = subprocess.run([sys.executable, script], input=fed, capture_output=True, check=False)
        if kind == "crash":
            assert done.returncode != 0
            assert done.stdout == b""
        else:
            assert f'"kind": "{kind}"'.encode() in done.stdout, done


def test_a_bomb_would_go_off_if_it_were_unpickled(tmp_path: Path) -> None:
    import pickle

    pickle.loads(pickle.dumps(Bomb(str(tmp_path / "trap"))))
    assert (tmp_path / "trap").is_dir()


def refused(change: object, words: str) -> None:
    with pytest.raises(ModelFileError, match=words) as caught:
        Classifier.from_bytes(attacks.changed(SOUND, change))
    assert caught.value.fix


def test_two_small_constants_that_make_a_large_plane_are_refused_before_the_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kopal.classifier, "session", lambda data: pytest.fail("the runtime saw it"))

    def crosswise(model: onnx.ModelProto) -> None:
        for name, shape in (("row", (1, 100_000)), ("column", (100_000, 1))):
            model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
        model.graph.node.append(helper.make_node("Add", ["row", "column"], ["plane"]))

    refused(crosswise, "numbers at a time")


@pytest.mark.parametrize("steps", [30, 64])
def test_a_value_that_is_doubled_again_and_again_is_refused(steps: int) -> None:
    def doubling(model: onnx.ModelProto) -> None:
        last = "pixels"
        for step in range(steps):
            model.graph.node.insert(step, helper.make_node("Concat", [last, last], [f"twice{step}"], axis=1))
            last = f"twice{step}"

    refused(doubling, "numbers at a time|do not fit|cannot be told")


def test_padding_that_makes_a_photo_into_a_wall_is_refused() -> None:
    def wall(model: onnx.ModelProto) -> None:
        pads = np.array([0, 10**5, 10**5, 0, 0, 0, 0, 0], np.int64)
        model.graph.initializer.append(numpy_helper.from_array(pads, "pads"))
        model.graph.node.append(helper.make_node("Pad", ["pixels", "pads"], ["wall"]))

    refused(wall, "numbers at a time")


def test_a_negative_number_of_best_values_is_refused_before_the_runtime_ends_the_process() -> None:
    # ONNX Runtime 1.32 aborts on a Slice of such a value.
    def negative(model: onnx.ModelProto) -> None:
        for name, value in (("best", -1048576), ("from", 3), ("to", 4), ("axis", 1)):
            model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
        model.graph.node.append(helper.make_node("TopK", ["scores", "best"], ["top", "places"], axis=1))
        model.graph.node.append(helper.make_node("Slice", ["top", "from", "to", "axis"], ["least"]))

    refused(negative, "do not fit|cannot be told")


def test_what_a_graph_tells_of_the_values_between_its_nodes_is_not_believed() -> None:
    def told(model: onnx.ModelProto) -> None:
        model.graph.value_info.append(helper.make_tensor_value_info("image", TensorProto.STRING, [2**40]))

    refused(told, "tells the types")


def test_an_operator_has_its_own_attributes_in_its_own_number() -> None:
    def foreign(model: onnx.ModelProto) -> None:
        model.graph.node[0].attribute.append(helper.make_attribute("axis", 1))

    def absurd(model: onnx.ModelProto) -> None:
        model.graph.node[-1].attribute[0].i = 2**40

    def lacking(model: onnx.ModelProto) -> None:
        del model.graph.node[1].attribute[:]

    def more(model: onnx.ModelProto) -> None:
        model.graph.node[0].input.append("pixels")

    refused(foreign, "has attributes")
    refused(absurd, "out of bounds")
    refused(lacking, "has attributes")
    refused(more, "inputs")


def test_too_many_nodes_and_a_name_made_twice_are_refused() -> None:
    def many(model: onnx.ModelProto) -> None:
        model.graph.node.extend(helper.make_node("Identity", ["scores"], [f"again{n}"]) for n in range(20_001))

    def twice(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Identity", ["pixels"], ["planes"]))

    refused(many, "nodes")
    refused(twice, "made twice")


def test_an_output_that_is_not_as_declared_is_refused() -> None:
    def narrow(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "other"
        model.graph.node.append(helper.make_node("ReduceMax", ["other"], ["label"], axes=[0], keepdims=1))

    refused(narrow, "output 'label' has type and shape")


@pytest.mark.parametrize("change", ["short", "long", "text", "negative", "huge"])
def test_a_constant_that_does_not_hold_what_it_says_is_refused(change: str) -> None:
    def lie(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
        match change:
            case "short":
                tensor.raw_data = tensor.raw_data[:-4]
            case "long":
                tensor.raw_data += b"\0" * 4
            case "text":
                tensor.data_type = TensorProto.STRING
            case "negative":
                tensor.dims[:] = [-3, -60]
            case "huge":
                tensor.dims[:] = [2**62, 2**62]

    refused(lie, "constant 'head.weight'")


def test_scores_that_are_no_numbers_are_an_error_when_they_are_made() -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.bias")
        tensor.raw_data = np.array([1, np.nan, 2], np.float32).tobytes()

    model = Classifier.from_bytes(attacks.changed(SOUND, poison))
    with pytest.raises(ModelFileError, match="no numbers") as caught:
        model.predict(np.zeros((2, *attacks.GEOMETRY.shape), np.uint8))
    assert caught.value.fix


@pytest.mark.skipif(os.name == "nt", reason="Windows writes such a file in full")
def test_a_file_of_more_than_protobuf_reads_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelFileError, match="2 GB"):
        kopal.load(path)


def test_the_same_seed_makes_the_same_files() -> None:
    first, again, other = (list(itertools.islice(mutants(seed, 60), 60)) for seed in (3, 3, 4))
    assert first == again != other
