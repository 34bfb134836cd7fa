"""The page in a browser: what an answer is worth in words, and the map over what the model sees of the photo."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import chromium
from careful import KNOWN, careful
from kopal import images
from kopal.attribution import Attributor
from kopal.report.overlay import overlaid
from serving import PLAIN, Running, photo, running
from test_serve_page import complaints, drop, text, until

CLASSES = ("kočka", "<b>pes</b>", "alpaka")
CAREFUL = careful(CLASSES)
ANSWERS = CAREFUL.answers(np.stack([images.read(photo(seed), CAREFUL.geometry) for seed in range(KNOWN + 6)]))
SURE = next(seed for seed, answer in enumerate(ANSWERS) if not answer.unsure and not answer.unknown)
UNSURE = next(seed for seed, answer in enumerate(ANSWERS) if answer.unsure and not answer.unknown)
UNKNOWN = next(seed for seed, answer in enumerate(ANSWERS) if answer.unknown and not answer.unsure)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.set_script_timeout(30)
        yield driver


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(PLAIN, CAREFUL) as made:
        yield made


@pytest.fixture
def opened(browser: Any, server: Running) -> Any:
    browser.get_log("browser")
    browser.get(server.url)
    return browser


def is_hidden(browser: Any, name: str) -> bool:
    return bool(browser.execute_script("return document.getElementById(arguments[0]).hidden", name))


def answered(browser: Any, seed: int, data: bytes | None = None) -> None:
    drop(browser, (f"{seed}.png", photo(seed) if data is None else data))
    until(lambda: text(browser, "label") == ANSWERS[seed].label)


def pressed(browser: Any) -> None:
    browser.find_element("id", "why").click()
    until(lambda: not is_hidden(browser, "map"))


STEP = 64
DRAWN = """
const canvas = document.getElementById("map"), { width, height } = canvas, step = arguments[0], found = [];
// A copy of its own for every look: of a canvas that is read often the browser would complain.
const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const { data } = copy.getImageData(0, 0, width, height);
for (let y = 0; y < height; y += step) {
  for (let x = 0; x < width; x += step) found.push(...data.slice(4 * (y * width + x), 4 * (y * width + x) + 4));
}
return found;
"""


def drawn(browser: Any) -> np.ndarray:
    """Every 64th pixel of every 64th row of the canvas, (8, 10, 3) in 0..1, once something was drawn."""

    def pixels() -> np.ndarray:
        return np.array(browser.execute_script(DRAWN, STEP), np.uint8).reshape(8, 10, 4)

    until(lambda: not is_hidden(browser, "map") and np.ptp(pixels()[..., :3]) > 0)
    found = pixels()
    assert (found[..., 3] == 255).all()
    return found[..., :3] / 255


def test_a_sure_answer_has_no_mark(opened: Any) -> None:
    answered(opened, SURE)
    assert "unsure" not in text(opened, "marks")
    assert "unknown" not in text(opened, "marks")


def test_unsure_and_unknown_are_marked_with_a_sentence_that_says_what_it_means(opened: Any) -> None:
    answered(opened, UNSURE)
    said = ANSWERS[UNSURE].unsure
    assert text(opened, "marks").startswith(f"unsure{said[0].upper()}{said[1:]}. Nothing should be made of this answer")
    assert f"{ANSWERS[UNSURE].label} · unsure" in text(opened, "status")
    opened.refresh()
    answered(opened, UNKNOWN)
    assert "unlike all that the model has learned from" in text(opened, "marks")
    assert complaints(opened) == []


def test_what_else_is_possible_is_named_as_text(opened: Any) -> None:
    seed = next(seed for seed, answer in enumerate(ANSWERS) if answer.candidates and len(answer.candidates) > 1)
    answered(opened, seed)
    names = " or ".join(name for name, _ in ANSWERS[seed].candidates or ())
    assert f"Possible: {names}." in text(opened, "marks")
    assert opened.execute_script("return document.querySelectorAll('#card b').length") == 0


def test_the_map_is_drawn_over_what_the_model_sees_as_the_library_draws_it(opened: Any) -> None:
    # Twice as wide as the model's box, with other colours at the sides, which the model never sees.
    middle = np.asarray(Image.open(io.BytesIO(photo(SURE))).convert("RGB"))
    wide = np.full((4, 13, 3), (255, 0, 255), np.uint8)
    wide[:, 4:9] = middle
    file = io.BytesIO()
    Image.fromarray(wide).save(file, "PNG")
    pixels = images.read(file.getvalue(), CAREFUL.geometry)
    assert np.array_equal(pixels, middle)
    answered(opened, SURE, file.getvalue())
    pressed(opened)
    found = drawn(opened)
    canvas = opened.find_element("id", "map")
    assert (canvas.get_attribute("width"), canvas.get_attribute("height")) == ("640", "512")
    label = CLASSES.index(ANSWERS[SURE].label)
    attribution = Attributor(CAREFUL).map(pixels, label)
    # In the middle of each place nothing is mixed with its neighbours; greys differ by how much each colour weighs.
    centres = found[1::2, 1::2]
    tint = overlaid(pixels, attribution)
    red_minus_blue = centres[..., 0] - centres[..., 2]
    expected = tint[..., 0] - tint[..., 2]
    assert np.allclose(red_minus_blue, expected, atol=0.05)
    assert np.ptp(expected) > 0.5
    assert complaints(opened) == []


def test_words_say_it_to_those_who_do_not_see_it_and_another_class_can_be_asked_for(opened: Any) -> None:
    answered(opened, SURE)
    pressed(opened)
    pixels = images.read(photo(SURE), CAREFUL.geometry)
    for place, (name, _) in enumerate(ANSWERS[SURE].top):
        opened.execute_script(
            "const asked = document.getElementById('asked'); asked.selectedIndex = arguments[0];"
            "asked.dispatchEvent(new Event('change'));", place
        )  # fmt: skip
        words = Attributor(CAREFUL).map(pixels, CLASSES.index(name)).in_words()
        until(lambda: text(opened, "words") == f"The evidence for {name} lies {words}.")  # noqa: B023
        label = opened.find_element("id", "map").get_attribute("aria-label")
        assert label == f"the photo {SURE}.png under a map. {text(opened, 'words')}"
        assert opened.find_element("id", "map").get_attribute("role") == "img"
    assert is_hidden(opened, "picture")
    opened.find_element("id", "why").click()
    assert is_hidden(opened, "map")
    assert not is_hidden(opened, "picture")
    assert text(opened, "words") == ""


def test_the_keyboard_shows_the_map_and_it_stays_on_for_the_next_photo(opened: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    drop(opened, (f"{SURE}.png", photo(SURE)), (f"{UNSURE}.png", photo(UNSURE)), ("broken.png", photo(1)[:-20]))
    until(lambda: text(opened, "status").startswith("3 of 3 done"))
    for _ in range(3):
        ActionChains(opened).send_keys(Keys.TAB).perform()
    ActionChains(opened).send_keys(Keys.SPACE).perform()
    until(lambda: not is_hidden(opened, "map"))
    assert opened.find_element("id", "why").get_attribute("aria-pressed") == "true"
    first = drawn(opened)
    ActionChains(opened).send_keys(Keys.TAB).perform()
    assert opened.execute_script("return document.activeElement.id") == "asked"
    buttons = opened.find_elements("css selector", "#rows button")
    opened.execute_script("arguments[0].click()", buttons[1])
    until(lambda: f"{UNSURE}.png" in str(opened.find_element("id", "map").get_attribute("aria-label")))
    until(lambda: not np.array_equal(drawn(opened), first))
    opened.execute_script("arguments[0].click()", buttons[2])
    assert is_hidden(opened, "grounds")
    assert is_hidden(opened, "map")


def test_a_picture_that_the_browser_cannot_show_has_a_map_all_the_same(opened: Any) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo(SURE))).save(file, "TIFF")
    answered(opened, SURE, file.getvalue())
    pressed(opened)
    assert np.ptp(drawn(opened)) > 0.3
    assert complaints(opened) == []


def test_what_goes_wrong_with_a_map_is_said_and_tried_again(opened: Any) -> None:
    answered(opened, SURE)
    opened.execute_script(
        "window.kept = window.fetch; window.fetch = () => Promise.resolve("
        "new Response(JSON.stringify({ error: 'no answer within 10 seconds' }), { status: 504 }));"
    )
    opened.find_element("id", "why").click()
    until(lambda: text(opened, "words") == "no answer within 10 seconds")
    assert is_hidden(opened, "map")
    assert not is_hidden(opened, "picture")
    opened.find_element("id", "why").click()
    opened.execute_script("window.fetch = window.kept;")
    pressed(opened)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_controls_suit_a_finger(opened: Any, width: int) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        answered(opened, UNSURE)
        opened.execute_script("document.querySelector('#asked option').textContent = 'a-long-name-'.repeat(20)")
        opened.execute_script("document.getElementById('why').click()")
        until(lambda: not is_hidden(opened, "map"))
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
        for name in ("why", "asked"):
            box = opened.execute_script(
                "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
                "return [box.height, box.right];",
                name,
            )
            assert box[0] >= 44
            assert box[1] <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def violations(browser: Any) -> list[str]:
    """What axe finds serious, in light and in dark."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="needs axe-core: pip install axe-core-python")
    found = []
    for scheme in ("light", "dark"):
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        found += [
            f"{scheme}, {row['id']}: {row['nodes'][0]['html'][:200]}"
            for row in axe.Axe().run(browser)["violations"]
            if row["impact"] in ("serious", "critical")
        ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


def test_axe_finds_no_serious_violation_on_the_empty_page_and_on_the_docs(opened: Any, server: Running) -> None:
    assert violations(opened) == []
    opened.get(f"{server.url}/docs")
    until(lambda: text(opened, "status") == "")
    assert violations(opened) == []


def test_axe_finds_no_serious_violation_with_answers_marks_a_map_and_a_failure(opened: Any) -> None:
    names = ((f"{seed}.png", photo(seed)) for seed in (UNSURE, SURE, UNKNOWN))
    drop(opened, *names, ("broken.png", photo(1)[:-20]))
    until(lambda: text(opened, "status").startswith("4 of 4 done"))
    assert violations(opened) == []
    pressed(opened)
    for button in opened.find_elements("css selector", "#rows button"):
        opened.execute_script("arguments[0].click()", button)
        assert violations(opened) == []


def test_axe_would_find_a_violation(opened: Any) -> None:
    opened.execute_script("document.getElementById('choose').textContent = ''")
    assert any("button-name" in row for row in violations(opened))
