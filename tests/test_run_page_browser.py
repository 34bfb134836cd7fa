"""report.html in a real browser: no error, no request, cells open, tables sort, and axe finds nothing serious."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import chromium
from conftest import QUICK, draw, make_photos
from kopal.pipeline import train


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that errs, so that the matrix has something beside its diagonal."""
    folder = make_photos(tmp_path_factory.mktemp("data") / "photos", ("one", "two"), 10)
    (folder / "<img src=x onerror=alert(1)>").mkdir()
    for number in range(10):
        draw(0, 100 + number).save(folder / "<img src=x onerror=alert(1)>" / f"{number}.jpg", quality=92)
    run: Path = train(folder, tmp_path_factory.mktemp("runs") / "run", QUICK).folder
    return (run / "report.html").resolve().as_uri()


@pytest.fixture
def opened(browser: Any, address: str) -> Any:
    browser.get_log("browser")
    browser.get_log("performance")
    # A page that still scrolls cannot be clicked.
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [still]})
    browser.get("about:blank")
    browser.get(address)
    return browser


def shown(browser: Any, selector: str) -> list[Any]:
    return [element for element in browser.find_elements("css selector", selector) if element.is_displayed()]


def test_it_opens_without_an_error_and_asks_nobody_for_anything(opened: Any, address: str) -> None:
    assert [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"] == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [found["params"]["request"]["url"] for found in messages if found["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} <= {address, "about:blank"}
    assert opened.execute_script("return document.images[0].naturalWidth") > 0


def test_a_number_of_the_matrix_opens_its_photos_and_closes_the_others(opened: Any) -> None:
    links = opened.find_elements("css selector", ".matrix a")
    assert len(links) >= 3
    for link in (links[-1], links[0]):
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
        link.click()
        [cell] = shown(opened, ".cell")
        assert "#" + cell.get_attribute("id") == "#" + link.get_attribute("href").split("#")[1]
        assert shown(opened, ".cell img")
        assert link.get_attribute("aria-expanded") == "true"


def test_the_keyboard_opens_a_cell_too(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    link = opened.find_elements("css selector", ".matrix a")[-1]
    link.send_keys(Keys.ENTER)
    [cell] = shown(opened, ".cell")
    assert opened.switch_to.active_element == cell


def test_a_table_is_sorted_by_a_click_on_its_head_and_turned_by_the_next(opened: Any) -> None:
    table = opened.find_element("css selector", "#classes table")
    button = table.find_elements("css selector", "thead button")[2]

    def column() -> list[float]:
        cells = table.find_elements("css selector", "tbody tr > :nth-child(3)")
        return [float(cell.get_attribute("data-key")) for cell in cells]

    button.click()
    assert column() == sorted(column())
    button.click()
    assert column() == sorted(column(), reverse=True)
    assert table.find_elements("css selector", "thead th")[2].get_attribute("aria-sort") == "descending"


def test_without_the_script_everything_is_there(browser: Any, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        assert len(shown(browser, ".cell")) == len(browser.find_elements("css selector", ".cell")) > 1
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened: Any, width: int, scheme: str) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_axe_finds_no_serious_violation(opened: Any) -> None:
    axe = pytest.importorskip("axe_core_python.selenium", reason="needs axe-core: pip install axe-core-python")
    for scheme in ("light", "dark"):
        opened.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        found = axe.Axe().run(opened)["violations"]
        serious = [
            f"{row['id']}: {row['nodes'][0]['html'][:200]}" for row in found if row["impact"] in ("serious", "critical")
        ]
        assert serious == []
