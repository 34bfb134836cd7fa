"""A model file is sound or refused: with one error that says what, what else, and what now."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import attacks
import kopal
from kopal import model_file
from kopal.classifier import Classifier
from kopal.errors import ModelFileError, UsageError
from kopal.images import Geometry
from kopal.runtime import images_per_run

SOUND = attacks.sound()
DATA = attacks.file_of(SOUND)
PIXELS = np.random.default_rng(1).integers(0, 256, (7, *attacks.GEOMETRY.shape), dtype=np.uint8)


def refused(data: bytes) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        Classifier.from_bytes(data)
    error = caught.value
    for part in (error.happened, error.expected, error.fix):
        assert part
        assert len(part) < 2000
        assert "Traceback" not in part
    return error


def test_a_sound_file_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "kočka 'a' 🐈.onnx"
    SOUND.save(path)
    loaded = kopal.load(path)
    assert path.read_bytes() == DATA
    assert loaded.card == SOUND.card
    assert loaded.classes == attacks.CLASSES
    assert loaded.digest == SOUND.digest
    assert np.array_equal(loaded.scores(PIXELS), SOUND.scores(PIXELS))
    assert loaded.verify() <= 1e-6
    model, card = model_file.unseal(DATA)
    assert model_file.seal(model, card) == DATA


def test_a_sound_file_is_plain_onnx() -> None:
    model = onnx.load_from_string(DATA)
    onnx.checker.check_model(model, full_check=True)
    keys = [entry.key for entry in model.metadata_props]
    assert keys == [model_file.CARD, model_file.SEAL]
    session = onnxruntime.InferenceSession(DATA, providers=["CPUExecutionProvider"])
    scores, probabilities, labels = session.run(None, {"pixels": PIXELS})
    assert np.allclose(scores, SOUND.scores(PIXELS), atol=1e-5)
    assert np.allclose(probabilities, SOUND.predict_proba(PIXELS), atol=1e-6)
    assert [attacks.CLASSES[label] for label in labels] == SOUND.predict(PIXELS)


@pytest.mark.parametrize("change", attacks.GRAPHS, ids=lambda change: change.__name__)
def test_a_graph_that_is_not_as_it_should_be_is_refused_behind_a_good_seal(change: object) -> None:
    refused(attacks.changed(DATA, change))


@pytest.mark.parametrize("name", attacks.CARDS)
def test_a_card_that_is_not_as_it_should_be_is_refused_behind_a_good_seal(name: str) -> None:
    refused(attacks.with_card(DATA, attacks.CARDS[name]))


def test_the_attacks_start_from_a_file_that_is_accepted() -> None:
    assert Classifier.from_bytes(attacks.changed(DATA, lambda model: None)).classes == attacks.CLASSES
    assert Classifier.from_bytes(attacks.with_card(DATA, lambda card: None)).card == SOUND.card


def test_nothing_reaches_the_runtime_before_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopal.classifier, "session", lambda data: pytest.fail("the runtime saw it"))
    late = {"constant_missing", "constant_of_another_shape", "constant_too_large", "edges_in_a_circle"}
    late |= {"opset_of_tomorrow", "no_opset"}
    for change in attacks.GRAPHS:
        if change.__name__ not in late:
            refused(attacks.changed(DATA, change))


def test_a_file_that_is_changed_anywhere_is_refused() -> None:
    dice = random.Random(0)
    for at in [0, len(DATA) - 1, *(dice.randrange(len(DATA)) for _ in range(300))]:
        damaged = bytearray(DATA)
        damaged[at] ^= 1 << dice.randrange(8)
        assert "damaged" in refused(bytes(damaged)).happened


def test_a_file_cut_anywhere_is_refused() -> None:
    for at in [*range(0, len(DATA), 37), len(DATA) - 1]:
        refused(DATA[:at])


def test_a_file_with_something_after_it_is_refused() -> None:
    seal = DATA[-len(model_file._seal_entry(b"")) :]
    for rest in (b"\0", seal, model_file._seal_entry(DATA), DATA):
        refused(DATA + rest)


def test_random_damage_behind_a_good_seal_is_refused_or_harmless() -> None:
    dice = random.Random(0)
    body = DATA[: -len(model_file._seal_entry(b""))]
    for _ in range(200):
        damaged = bytearray(body)
        for _ in range(dice.choice([1, 2, 5])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            model, card = model_file.unseal(bytes(damaged) + model_file._seal_entry(bytes(damaged)))
        except ModelFileError:
            continue
        model_file.check_graph(model, card)


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 300, b"<html>" * 99, b"PK\3\4" * 99, b"\xff" * 1000])
def test_what_is_not_a_model_is_refused(data: bytes) -> None:
    refused(data)
    refused(data + model_file._seal_entry(data))


def test_an_onnx_file_that_is_not_ours_is_refused() -> None:
    model = attacks.parsed(DATA)
    del model.metadata_props[:]
    assert "kopal" in str(refused(model.SerializeToString()))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.onnx", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(UsageError, match="cannot read the model"):
            kopal.load(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="not a regular file"):
        kopal.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["two\nlines", "\udcff\udc80", "🐈", 'a "b"', "\u202e", "a\0b", "x" * 5000])
def test_any_class_name_comes_back(name: str) -> None:
    assert attacks.sound(("plain", name)).classes == ("plain", name)


def test_golden_outputs_that_this_machine_does_not_give_are_an_error() -> None:
    def shift(card: dict) -> None:
        card["golden"]["scores"][1][2] += 1.0

    shifted = Classifier.from_bytes(attacks.with_card(DATA, shift))
    with pytest.raises(ModelFileError, match="golden") as caught:
        shifted.verify()
    assert caught.value.fix
    none = Classifier.from_bytes(attacks.with_card(DATA, lambda card: card["golden"].update(scores=[])))
    with pytest.raises(ModelFileError, match="golden"):
        none.verify()


def test_golden_pixels_are_the_same_everywhere() -> None:
    pixels = model_file.golden_pixels(Geometry(2, 3, 3))
    assert pixels.shape == (2, 2, 3, 3)
    assert pixels.ravel()[:8].tolist() == list(bytes.fromhex("333c531a626f3019"))


def test_the_card_says_in_words_how_to_make_pixels() -> None:
    words = SOUND.card.as_json()["geometry"]["in_words"]
    assert "5 x 4 (width x height)" in words
    assert "RGB" in words
    assert "grey" in model_file.in_words(Geometry(8, 8, 1))


def test_one_path_where_several_are_meant_is_an_error() -> None:
    with pytest.raises(UsageError, match="one path"):
        list(SOUND.predict_files("photo.jpg"))
    with pytest.raises(UsageError, match="top 0"):
        list(SOUND.predict_files([], top=0))


def test_a_graph_that_fails_while_it_runs_is_a_model_file_error() -> None:
    rows = images_per_run(attacks.GEOMETRY)

    def only_for_a_full_run(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((rows, 3), np.float32), "rows"))
        model.graph.node[-4].input[0] = "sum"
        model.graph.node.insert(len(model.graph.node) - 4, helper.make_node("Add", ["head", "rows"], ["sum"]))

    model = Classifier.from_bytes(attacks.changed(DATA, only_for_a_full_run))
    assert model.scores(np.repeat(PIXELS[:1], rows, axis=0)).shape == (rows, 3)
    with pytest.raises(ModelFileError, match="cannot run the graph") as caught:
        model.scores(PIXELS[:2])
    assert caught.value.fix
