"""Draws docs/report.png: the upper part of the page that `kopal demo` leaves, as chromium shows it.

    python docs/report_picture.py

The photos are FashionMNIST's (MIT), from Debian's dataset-fashion-mnist; chromium is Debian's too.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from kopal.demo import demo

WIDTH, HEIGHT = 1180, 1500
OUT = Path(__file__).with_name("report.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = demo(Path(folder) / "demo")
        page, picture = (run.folder / "report.html").resolve(), Path(folder) / "page.png"
        look = ["--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        profile = f"--user-data-dir={folder}/profile"
        browser = [shutil.which("chromium") or "chromium", *look, profile]
        subprocess.run([*browser, f"--screenshot={picture}", page.as_uri()], check=True)  # noqa: S603 - our own page
        with Image.open(picture) as image:
            # Few colours: the page is flat, and the picture goes into the repository.
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
