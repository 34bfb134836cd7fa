"""The API without sockets: what comes back for photos, and for everything that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from attacks import sound
from kopal.classifier import Classifier
from kopal.serve.app import App, Served
from kopal.serve.service import Service
from photo_bytes import claims, samples
from serving import JPEG, LOCAL, PLAIN, application, ask, form, photo

CLASSIFIER = sound()
HOSTILE = ("../../etc/passwd", "<img src=x onerror=alert(1)>.png", "a\\\\b.png", "ž 雪.png", "x" * 2000)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with application(classifier=CLASSIFIER) as (made, _):
        yield made


def expected(data: bytes, classifier: Classifier = CLASSIFIER) -> dict[str, object]:
    """What the library says of a photo, without any server."""
    from kopal import images

    (answer,) = classifier.answers(images.read(data, classifier.geometry)[None])
    return {
        "label": answer.label,
        "probability": answer.probability,
        "top": [{"label": label, "probability": share} for label, share in answer.top],
        "unsure": answer.unsure != "",
        "why_unsure": answer.unsure,
        "candidates": None if answer.candidates is None else [label for label, _ in answer.candidates],
        "unknown": None if answer.unknown_score is None else answer.unknown,
        "unknown_score": answer.unknown_score,
    }


def test_a_photo_as_the_body_is_answered_as_the_library_answers(app: App) -> None:
    reply = ask(app, "POST", "/v1/predict", JPEG, photo(1))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == expected(photo(1)) | {"model": "model", "digest": CLASSIFIER.digest}


@pytest.mark.parametrize("kind", sorted(samples()))
def test_every_format_is_answered_whatever_the_content_type_says(app: App, kind: str) -> None:
    data = samples()[kind]
    for content_type in ("image/webp", "application/octet-stream", "IMAGE/PNG; charset=utf-8"):
        reply = ask(app, "POST", "/v1/predict", (*LOCAL, ("content-type", content_type)), data)
        assert {name: reply.json()[name] for name in expected(data)} == expected(data)


def test_several_photos_are_answered_in_order_and_unreadable_ones_say_why(app: App) -> None:
    files = [*((name, photo(seed)) for seed, name in enumerate(HOSTILE)), ("no.jpg", b"no picture"), ("cut.png", b"")]
    header, body = form(files)
    reply = ask(app, "POST", "/v1/predict", (*LOCAL, header), body)
    assert reply.status == 200
    rows = reply.json()["photos"]
    assert len(rows) == len(files)
    for (name, data), row in zip(files[:-2], rows, strict=False):
        assert row == {"name": name.replace("\\\\", "\\")[:255]} | expected(data)
    assert rows[-2] == {"name": "no.jpg", "unreadable": "not a JPEG, PNG, WEBP, GIF, BMP or TIFF by its content"}
    assert rows[-1] == {"name": "cut.png", "unreadable": "0 bytes"}


def test_fields_that_are_no_files_are_passed_over(app: App) -> None:
    header, body = form([("a.png", photo(1))])
    body = b'--limit\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n' + body
    rows = ask(app, "POST", "/v1/predict", (*LOCAL, header), body).json()["photos"]
    assert [row["name"] for row in rows] == ["a.png"]


@pytest.mark.parametrize(
    "body",
    [b"", b"--limit--\r\n", b"--limit\r\n", b"nonsense", form([("a", b"x")])[1][:-9], b"--limit\r\n" + b"a" * 9000],
)
def test_a_form_that_breaks_off_or_holds_nothing_is_refused(app: App, body: bytes) -> None:
    reply = ask(app, "POST", "/v1/predict", (*LOCAL, form([])[0]), body)
    assert reply.status == 400
    assert set(reply.json()) == {"error"}
    assert ask(app, "POST", "/v1/predict", (*LOCAL, ("content-type", "multipart/form-data")), body).status == 400


def test_too_many_photos_or_fields_in_a_form_are_refused() -> None:
    with application(replace(PLAIN, max_photos=3)) as (app, _):
        header, body = form([("a.png", photo(1))] * 3)
        assert ask(app, "POST", "/v1/predict", (*LOCAL, header), body).status == 200
        header, body = form([("a.png", photo(1))] * 4)
        assert ask(app, "POST", "/v1/predict", (*LOCAL, header), body).status == 413
        field = b'--limit\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        assert ask(app, "POST", "/v1/predict", (*LOCAL, header), field * 50 + b"--limit--\r\n").status == 413


@pytest.mark.parametrize("top", [1, 2, 3, 50, 999_999_999])
def test_top_says_how_many_classes(app: App, top: int) -> None:
    reply = ask(app, "POST", "/v1/predict", JPEG, photo(2), query=f"top={top}")
    assert reply.json()["top"] == expected(photo(2))["top"][:top]  # type: ignore[index]


@pytest.mark.parametrize(
    "query", ["top=0", "top=-1", "top=a", "top=", "top=1&top=2", "url=http://a/b.jpg", "top=1e3", "%ff=1", "a=1&" * 99]
)
def test_a_query_that_means_nothing_is_refused(app: App, query: str) -> None:
    assert ask(app, "POST", "/v1/predict", JPEG, photo(2), query=query).status == 400


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"no picture at all", "not a JPEG"),
        (photo(1, "JPEG", (60, 40))[:-40], "ends before its end marker"),
        (claims(60_000, 60_000), "the limit is 50 million"),
    ],
)
def test_a_body_that_is_no_readable_photo_is_422_with_the_reason(app: App, data: bytes, words: str) -> None:
    reply = ask(app, "POST", "/v1/predict", JPEG, data)
    assert reply.status == 422
    assert words in reply.json()["error"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "image/", "application/json"])
def test_another_content_type_is_415(app: App, kind: str) -> None:
    reply = ask(app, "POST", "/v1/predict", (*LOCAL, ("content-type", kind)), photo(1))
    assert reply.status == 415
    assert "Content-Type" in reply.json()["error"]


def test_no_address_and_no_path_is_ever_followed(app: App) -> None:
    for data in (b"http://127.0.0.1/a.jpg", b"file:///etc/passwd", b'{"url": "http://a"}', b"/etc/passwd"):
        assert ask(app, "POST", "/v1/predict", JPEG, data).status == 422
    for path in (
        "/../../etc/passwd",
        "/page/../page.js",
        "//page.js",
        "/page.js/",
        "/%2e%2e",
        "/\0",
        "/v2/models/other",
    ):
        assert ask(app, "GET", path).status == 404


def test_a_body_is_limited_whatever_is_declared() -> None:
    with application(replace(PLAIN, max_body=1000)) as (app, _):
        declared = (*JPEG, ("content-length", "1001"))
        assert ask(app, "POST", "/v1/predict", declared, b"x" * 1001).status == 413
        for pieces in ([b"x" * 600, b"x" * 600], [b"x" * 1001], [b"x"] * 1001):
            assert ask(app, "POST", "/v1/predict", JPEG, pieces=pieces).status == 413
        assert ask(app, "POST", "/v1/predict", (*JPEG, ("content-length", "9" * 5000))).status == 413
        assert ask(app, "POST", "/v1/predict", (*JPEG, ("content-length", "-1"))).status == 400
        assert ask(app, "POST", "/v1/predict", JPEG, pieces=[photo(1)[:50], b"", photo(1)[50:]]).status == 200
        assert ask(app, "POST", "/v1/predict", (*JPEG, ("content-encoding", "gzip")), photo(1)).status == 415


def test_all_bodies_together_are_limited_and_what_has_ended_is_given_back() -> None:
    with application(replace(PLAIN, all_bodies=5000)) as (app, _):
        for _ in range(3):
            assert ask(app, "POST", "/v1/predict", JPEG, photo(1)).status == 200
            full = ask(app, "POST", "/v1/predict", JPEG, pieces=[b"x" * 3000, b"x" * 3000])
            assert full.status == 503
            assert full.headers["retry-after"] == "2"


def test_unknown_paths_and_methods_are_404_and_405_with_what_is_allowed(app: App) -> None:
    assert ask(app, "GET", "/v1").status == 404
    for path, method, allowed in (
        ("/v1/predict", "GET", "POST"),
        ("/", "POST", "GET, HEAD"),
        ("/metrics", "TRACE", "GET, HEAD"),
    ):
        reply = ask(app, method, path)
        assert reply.status == 405
        assert reply.headers["allow"] == allowed


def test_a_clients_request_id_comes_back_if_it_is_harmless(app: App) -> None:
    assert ask(app, "GET", "/", (*LOCAL, ("x-request-id", "a-1.B_2"))).headers["x-request-id"] == "a-1.B_2"
    for hostile in ("a\r\nb", "\xe9", "x" * 65, ""):
        assert len(ask(app, "GET", "/", (*LOCAL, ("x-request-id", hostile))).headers["x-request-id"]) == 16


def test_the_log_holds_no_name_and_no_content_of_a_photo() -> None:
    nouns: list[object] = []
    with application(log=nouns.append) as (app, _):
        header, body = form([("secret-holiday.png", photo(1)), ("b.png", b"secret words")])
        ask(app, "POST", "/v1/predict", (*LOCAL, header, ("x-request-id", "r1")), body)
        ask(app, "GET", "/forged\n200 OK \x1b[31m")
    first, second = nouns
    assert isinstance(first, Served)
    assert (first.id, first.method, first.path, first.status, first.photos, first.bytes) == (
        "r1", "POST", "/v1/predict", 200, 2, len(body),
    )  # fmt: skip
    assert "secret" not in repr(nouns)
    assert isinstance(second, Served)
    assert second.path.isprintable()


def test_metrics_count_requests_photos_and_deaths(app: App) -> None:
    def value(name: str) -> float:
        lines = ask(app, "GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    before = value('kopal_requests_total{route="/v1/predict",status="200"}'), value("kopal_photos_total")
    ask(app, "POST", "/v1/predict", JPEG, photo(1))
    ask(app, "GET", "/no/such/path/1")
    assert value('kopal_requests_total{route="/v1/predict",status="200"}') == before[0] + 1
    assert value("kopal_photos_total") == before[1] + 1
    assert value("kopal_ready") == 1
    assert value("kopal_decoder_deaths_total") == 0
    assert value("kopal_request_seconds_count") > 0
    assert b"such/path" not in ask(app, "GET", "/metrics").body


def test_class_names_of_any_kind_are_json() -> None:
    odd = sound(classes=('a"b', "</script>", "\udcff", "kočka"))
    with application(classifier=odd) as (app, _):
        reply = ask(app, "POST", "/v1/predict", JPEG, photo(1))
        assert {row["label"] for row in reply.json()["top"]} == set(odd.classes)
        assert ask(app, "GET", "/openapi.json").status == 200


def test_the_openapi_document_lists_what_is_answered_and_nothing_else(app: App) -> None:
    document = ask(app, "GET", "/openapi.json").json()
    pages = {"/", "/page.css", "/page.js", "/why.js", "/docs", "/docs.js", "/favicon.svg"}
    assert set(document["paths"]) == set(app._table) - pages
    for path, methods in document["paths"].items():
        assert {method.upper() for method in methods} == {app._table[path].method}
    defined = set(document["components"]["schemas"])
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert named == defined


def test_before_the_warm_up_nothing_is_answered_but_health_says_alive() -> None:
    service = Service(sound(), PLAIN)
    app = App(service, lambda noun: None)
    reply = ask(app, "POST", "/v1/predict", JPEG, photo(1))
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert ask(app, "GET", "/v2/health/live").status == 200
    assert ask(app, "GET", "/v2/health/ready").status == 503


def test_a_bug_is_500_with_the_request_id_and_says_nothing_of_its_inside() -> None:
    nouns: list[object] = []
    with application(log=nouns.append) as (app, service):
        service.classifier = None  # type: ignore[assignment]
        reply = ask(app, "POST", "/v1/predict", (*JPEG, ("x-request-id", "bug-1")), photo(1))
        assert reply.status == 500
        assert "bug-1" in reply.json()["error"]
        assert "NoneType" not in reply.json()["error"]
    assert any("AttributeError" in repr(noun) for noun in nouns)


def test_answers_do_not_depend_on_who_stands_in_line_beside(app: App) -> None:
    photos = [photo(seed) for seed in range(24)]
    header, body = form([(f"{seed}", data) for seed, data in enumerate(photos)])
    together = ask(app, "POST", "/v1/predict", (*LOCAL, header), body).json()["photos"]
    alone = [ask(app, "POST", "/v1/predict", JPEG, data).json() for data in photos]
    assert len({row["probability"] for row in together}) == len(photos)
    for one, other in zip(together, alone, strict=True):
        assert one["label"] == other["label"]
        assert np.isclose(one["probability"], other["probability"], atol=1e-5)
