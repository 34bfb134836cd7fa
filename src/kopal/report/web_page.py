"""What every web page of kopal begins with, and how photos and other people's text come onto it.

A page is one file that needs no other, no network and no script; the policy in its head forbids all of them.
"""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

from kopal import images
from kopal.datasets import Source
from kopal.errors import UnreadableImage
from kopal.files import shown
from kopal.images import FULL_SIDE, Geometry

QUALITY = 82

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --quiet: #59636e; --line: #d5dae0; --field: #f3f5f7;
  --mark: #2f6db3; --twin: #8a5a00; --twin-field: #fff3d6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e9ed; --quiet: #9aa4b0; --line: #333a42; --field: #1f242a; --mark: #6ea8e8;
    --twin: #f2c46d; --twin-field: #3a2d10; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 0 0 .25rem; font-size: 1.05rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; color: var(--quiet); overflow-wrap: anywhere; }
section { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.picture { display: flex; align-items: center; justify-content: center; aspect-ratio: 1; border-radius: 8px;
  overflow: hidden; background: var(--field); color: var(--quiet); font-size: .8rem; text-align: center; }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.picture img.tiny { image-rendering: pixelated; }
"""
"""Colours in light and dark, type, and pictures."""


def generator(command: str) -> str:
    """The mark by which an earlier page of a command is known."""
    return f'<meta name="generator" content="kopal {command}">'


def head(title: str, mark: str, style: str) -> str:
    """Everything before the body; `mark` is the page's `generator`."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{plain(title)}</title>
<style>{STYLE}{style}</style>
</head>
"""


def picture(source: Source, name: str, words: str, side: int) -> str:
    """A photo inside the page, at most `side` pixels wide and high; in words where it cannot be read."""
    try:
        image = images.decode(source.read(name), Geometry(side, side))
    except UnreadableImage as error:
        return f'<div class="picture">{plain(error.happened)}</div>'
    # Shown pixel by pixel.
    tiny = max(image.size) <= FULL_SIDE
    image.thumbnail((side, side))
    look = ' class="tiny"' if tiny else ""
    return f'<div class="picture"><img{look} alt="{plain(words)}" src="{data_address(image, QUALITY)}"></div>'


def data_address(image: Image.Image, quality: int = 72) -> str:
    """An image as the address of itself: PNG where JPEG would blur it, as it is tiny."""
    data = io.BytesIO()
    tiny = max(image.size) <= FULL_SIDE
    image.save(data, "PNG", optimize=True) if tiny else image.save(data, "JPEG", quality=quality, optimize=True)
    return f"data:image/{'png' if tiny else 'jpeg'};base64,{base64.b64encode(data.getvalue()).decode()}"


def plain(text: str) -> str:
    """Anyone's text, printable and without markup."""
    return escape(shown(text))
