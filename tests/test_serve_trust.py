"""What the API says of an answer's worth: unsure, candidates, unknown; as it is described and as the library has it."""

from __future__ import annotations

from typing import Any

import pytest

from attacks import file_of, sound, with_card
from careful import KNOWN, careful
from described import fits
from kopal import images
from kopal.classifier import Classifier
from kopal.errors import ModelFileError
from kopal.serve.service import Service
from serving import JPEG, LOCAL, PLAIN, application, ask, form, photo

CAREFUL = careful()
SAID = ("unsure", "why_unsure", "candidates", "unknown", "unknown_score")


def rows(classifier: Classifier, count: int = KNOWN + 6) -> list[dict[str, Any]]:
    """The answers to photos of the first seeds, from a form; the first is asked for alone too."""
    with application(classifier=classifier) as (app, _):
        header, body = form([(f"{seed}.png", photo(seed)) for seed in range(count)])
        found: list[dict[str, Any]] = ask(app, "POST", "/v1/predict", (*LOCAL, header), body).json()["photos"]
        alone = ask(app, "POST", "/v1/predict", JPEG, photo(0)).json()
        assert [alone[name] for name in SAID] == [found[0][name] for name in SAID]
    return found


def test_an_answer_says_whether_it_is_one_and_what_else_is_possible() -> None:
    found = rows(CAREFUL)
    assert {row["unsure"] for row in found} == {row["unknown"] for row in found} == {True, False}
    assert {len(row["candidates"]) for row in found} == {1, 2}
    for seed, row in enumerate(found):
        (answer,) = CAREFUL.answers(images.read(photo(seed), CAREFUL.geometry)[None])
        assert answer.candidates is not None
        assert row["candidates"] == [label for label, _ in answer.candidates]
        assert (row["unsure"], row["why_unsure"]) == (answer.unsure != "", answer.unsure)
        assert row["unknown"] == (seed >= KNOWN) == answer.unknown
        assert row["unknown_score"] == pytest.approx(answer.unknown_score, abs=1e-5)


def test_a_model_that_promises_nothing_says_null_and_is_never_unsure() -> None:
    for row in rows(sound(), 3):
        assert [row[name] for name in SAID] == [False, "", None, None, None]


@pytest.mark.parametrize("classifier", [CAREFUL, sound()], ids=["careful", "plain"])
def test_every_answer_is_as_the_openapi_document_describes_it(classifier: Classifier) -> None:
    with application(classifier=classifier) as (app, _):
        named = ask(app, "GET", "/openapi.json").json()["components"]["schemas"]
        for seed in range(KNOWN + 6):
            answer = ask(app, "POST", "/v1/predict", JPEG, photo(seed)).json()
            assert fits(answer, named["Answer"], named)
    for harm in ({"unsure": None}, {"why_unsure": None}, {"candidates": ["horse"]}, {"unknown": 1}, {"new": 1}):
        assert not fits(answer | harm, named["Answer"], named)
    assert not fits({name: answer[name] for name in list(answer)[1:]}, named["Answer"], named)


def test_a_model_whose_promises_are_damaged_never_gets_ready() -> None:
    harmed = Classifier.from_bytes(
        with_card(file_of(CAREFUL), lambda card: card["thresholds"].update(max_error={"confidence": "often"}))
    )
    service = Service(harmed, PLAIN)
    try:
        with pytest.raises(ModelFileError, match="thresholds are damaged"):
            service.warm_up()
        assert not service.ready
    finally:
        service.lanes.stop(5)
