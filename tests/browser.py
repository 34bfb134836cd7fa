"""A real browser for tests: Debian's chromium without a window, driven by selenium; tests skip where it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def chromium(profile: Path, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A selenium driver whose requests and console are kept; skips the test where there is no browser."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    named = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    program, driver = next(filter(None, named), None), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromium-driver: apt-get install chromium chromium-driver")
    from selenium.webdriver.chrome.service import Service

    options = selenium.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--window-size={width},{height}",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = selenium.Chrome(options=options, service=Service(driver))
    try:
        browser.set_page_load_timeout(60)
        yield browser
    finally:
        browser.quit()
