"""The page in a browser: a photo in, its answer seen; hostile names are text; a broken file is a clear message."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from attacks import sound
from browser import chromium
from kopal.serve.pages import FILES
from serving import LOCAL, PLAIN, Running, application, ask, photo, running

CLASSES = ("kočka", "<b>pes</b>", "alpaka")
TOKEN = "correct-horse-battery"
PAGE = files("kopal.serve") / "page"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_pages_load_nothing_from_elsewhere_and_hold_nothing_inline() -> None:
    for name, _ in FILES.values():
        text = (PAGE / name).read_text(encoding="utf-8")
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        if name.endswith(".html"):
            for tag, attributes in Tags(text).found:
                assert not {key for key in attributes if key.startswith("on") or key == "style"}
                assert tag not in {"style", "iframe"}
                assert tag != "script" or attributes["src"]
                for key in ("src", "href"):
                    assert (attributes.get(key) or "/").startswith("/")


def test_every_control_has_a_name_for_those_who_do_not_see_it() -> None:
    text = (PAGE / "page.html").read_text(encoding="utf-8")
    tags = Tags(text).found
    labels = {attributes.get("for") for tag, attributes in tags if tag == "label"}
    for tag, attributes in tags:
        if tag in {"input", "select"}:
            assert attributes.get("aria-label") or attributes["id"] in labels
        if tag == "img":
            assert "alt" in attributes
        if tag in {"section", "dialog", "canvas"}:
            assert attributes["aria-label"]
    assert not re.search(r"<button[^>]*></button>", text)
    assert ("html", {"lang": "en"}) in tags


def test_every_file_of_the_page_is_served_with_its_type() -> None:
    with application() as (app, _):
        for path, (name, kind) in FILES.items():
            reply = ask(app, "GET", path)
            assert (reply.status, reply.headers["content-type"]) == (200, kind)
            assert reply.body == (PAGE / name).read_bytes()
            assert ask(app, "HEAD", path, LOCAL).status == 200


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as made:
        made.set_script_timeout(30)
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(classifier=sound(CLASSES)) as made:
        yield made


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


DROP = """
const transfer = new DataTransfer();
for (const [name, base64] of arguments[0]) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
}
document.dispatchEvent(new DragEvent("dragenter", { dataTransfer: transfer, bubbles: true, cancelable: true }));
document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def drop(browser: Any, *named: tuple[str, bytes]) -> None:
    import base64

    browser.execute_script(DROP, [[name, base64.b64encode(data).decode()] for name, data in named])


def text(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", name))


def expected(data: bytes, classes: tuple[str, ...] = CLASSES) -> str:
    from kopal import images

    classifier = sound(classes)
    return classifier.predict(images.read(data, classifier.geometry)[None])[0]


def complaints(browser: Any) -> list[str]:
    """What the browser's console says of security and scripts; a refused request is no complaint."""
    return [
        entry["message"] for entry in browser.get_log("browser") if "Failed to load resource" not in entry["message"]
    ]


def test_a_dropped_photo_is_answered_with_bars(browser: Any, server: Running) -> None:
    browser.get(server.url)
    drop(browser, ("one.png", photo(1)))
    until(lambda: text(browser, "label") == expected(photo(1)))
    bars = browser.execute_script("return [...document.querySelectorAll('#bars li')].map((item) => item.innerText)")
    assert len(bars) == 3
    assert sum(float(bar.split("\n")[1].removesuffix(" %")) for bar in bars) == pytest.approx(100, abs=0.3)
    widths = browser.execute_script("return [...document.querySelectorAll('#bars i')].map((bar) => bar.offsetWidth)")
    until(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 5)
    assert widths[0] >= widths[1] >= widths[2]
    assert expected(photo(1)) in text(browser, "status")
    until(lambda: "kočka" in text(browser, "model"))
    assert complaints(browser) == []


def test_a_hostile_name_is_text_and_runs_nothing(browser: Any, server: Running) -> None:
    browser.get(server.url)
    evil = "<img src=x onerror=\"document.title='gone'\">.png"
    drop(browser, (evil, photo(1)), ("</script><script>document.title='gone'</script>", photo(2)))
    until(lambda: text(browser, "status") == "2 of 2 done")
    assert text(browser, "name") == evil
    assert "gone" not in browser.title
    assert browser.execute_script("return document.querySelectorAll('img[onerror]').length") == 0
    assert complaints(browser) == []


def test_a_broken_file_is_a_clear_message_and_the_others_are_answered(browser: Any, server: Running) -> None:
    browser.get(server.url)
    drop(browser, ("broken.png", photo(1)[:-20]), ("fine.png", photo(2)))
    until(lambda: text(browser, "status") == "2 of 2 done, 1 of them without success")
    assert "not a readable photo: the PNG ends before its end marker" in text(browser, "trouble")
    assert browser.execute_script("return document.getElementById('trouble').hidden") is False
    browser.execute_script("document.querySelectorAll('#rows button')[1].click()")
    assert text(browser, "label") == expected(photo(2))
    assert browser.execute_script("return document.getElementById('trouble').hidden") is True


def test_a_batch_is_a_table_and_its_csv_holds_no_formula(browser: Any, server: Running) -> None:
    browser.get(server.url)
    names = ["=1+1.png", 'a "quoted", name.png', "c.png"]
    drop(browser, *((name, photo(seed)) for seed, name in enumerate(names)))
    until(lambda: text(browser, "status") == "3 of 3 done")
    rows = browser.execute_script("return [...document.querySelectorAll('#rows tr')].map((row) => row.innerText)")
    assert [expected(photo(seed)) in row for seed, row in enumerate(rows)] == [True] * 3
    made = browser.execute_async_script(
        "const done = arguments[0], make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then(done); return make(blob); };"
        "document.getElementById('csv').click();"
    )
    table = list(csv.DictReader(io.StringIO(made)))
    assert [row["photo"] for row in table] == ["'=1+1.png", names[1], names[2]]
    assert [row["label"] for row in table] == [expected(photo(seed)) for seed in range(3)]


def test_the_keyboard_reaches_every_control_and_enter_shows_a_row(browser: Any, server: Running) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.get(server.url)
    drop(browser, ("a.png", photo(1)), ("b.png", photo(2)))
    until(lambda: text(browser, "status") == "2 of 2 done")
    seen = []
    for _ in range(8):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        seen.append(str(browser.execute_script("return document.activeElement.textContent")))
        if seen[-1] == "b.png":
            ActionChains(browser).send_keys(Keys.ENTER).perform()
            assert text(browser, "name") == "b.png"
    first, rest = ["Choose photos", "Use the camera", "Show why"], ["Download CSV", "Clear", "a.png", "b.png"]
    assert seen == [*first, *rest, "For programs"]


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, server: Running) -> None:
    browser.set_window_size(500, 844)  # the window's least width; the viewport below is a phone's
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        browser.get(server.url)
        drop(browser, *((f"{'a-long-name-' * 9}{seed}.png", photo(seed)) for seed in range(3)))
        until(lambda: text(browser, "status") == "3 of 3 done")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        heights = browser.execute_script(
            "return [...document.querySelectorAll('#drop button')].map((button) => button.offsetHeight)"
        )
        assert min(heights) >= 44  # a finger's width (WCAG 2.5.5)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(1280, 900)


def test_a_token_is_asked_for_once_and_then_sent(browser: Any) -> None:
    with running(replace(PLAIN, token=TOKEN), sound(CLASSES)) as server:
        browser.get(server.url)
        until(lambda: browser.execute_script("return !document.getElementById('door').hidden"))
        browser.find_element("id", "token").send_keys(TOKEN + "\n")
        until(lambda: "kočka" in text(browser, "model"))
        drop(browser, ("one.png", photo(1)))
        until(lambda: text(browser, "label") == expected(photo(1)))
        browser.get(f"{server.url}/docs")
        until(lambda: "POST /v1/predict" in text(browser, "paths"))


def test_the_docs_page_draws_every_path_from_its_own_server(browser: Any, server: Running) -> None:
    browser.get(f"{server.url}/docs")
    until(lambda: text(browser, "status") == "")
    with application(classifier=sound(CLASSES)) as (app, _):
        document = json.loads(ask(app, "GET", "/openapi.json").body)
    drawn = browser.execute_script("return [...document.querySelectorAll('.path h2')].map((head) => head.textContent)")
    assert set(drawn) == {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert complaints(browser) == []


def test_a_file_from_the_chooser_is_answered(browser: Any, server: Running, tmp_path: Path) -> None:
    (tmp_path / "chosen.png").write_bytes(photo(3))
    browser.get(server.url)
    browser.find_element("id", "files").send_keys(str(tmp_path / "chosen.png"))
    until(lambda: text(browser, "label") == expected(photo(3)))
    assert text(browser, "name") == "chosen.png"
