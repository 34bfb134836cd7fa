"""The nearest photos of each query as one web page: a file that needs no other, no network and no script."""

from __future__ import annotations

import os

from kopal import images
from kopal.datasets import Source
from kopal.errors import UnreadableImage, UsageError
from kopal.files import shown
from kopal.images import FULL_SIDE, Geometry
from kopal.report.page.html import plain
from kopal.report.page.thumbnails import data_address
from kopal.similar import Answer, Neighbour, Similar

MOST_PICTURES = 2000

# Pixels of a thumbnail's longer side: enough for a sharp picture on a fine screen, some 10 kB.
NEAR, ASKED, QUALITY = 256, 480, 82

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="kopal similar">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"""

_STYLE = """
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
.asked { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin-bottom: 1.25rem; }
.asked > div { flex: 1 1 14rem; min-width: 0; }
.asked .picture { flex: none; width: min(15rem, 100%); }
.picture { display: flex; align-items: center; justify-content: center; aspect-ratio: 1; border-radius: 8px;
  overflow: hidden; background: var(--field); color: var(--quiet); font-size: .8rem; text-align: center; }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.picture img.tiny { image-rendering: pixelated; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(10.5rem, calc(50% - .5rem)), 1fr));
  gap: 1.25rem 1rem; margin: 0; padding: 0; list-style: none; }
li { min-width: 0; }
.bar { height: 4px; margin: .4rem 0 .3rem; border-radius: 2px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--mark); }
.line { display: flex; justify-content: space-between; align-items: baseline; gap: .5rem; }
.line b { overflow-wrap: anywhere; }
.line span { font-variant-numeric: tabular-nums; }
.name { font-size: .8rem; line-height: 1.35; }
.twin { display: inline-block; margin-top: .2rem; padding: 0 .45rem; border-radius: 4px; font-size: .8rem;
  background: var(--twin-field); color: var(--twin); }
"""


def similar_page(found: Similar) -> str:
    """The page's text: the same photos give the same page. Raises `UsageError` for more than 2 000 pictures."""
    pictures = sum(1 + len(answer.neighbours) for answer in found.answers)
    if pictures > MOST_PICTURES:
        raise UsageError(
            f"a page of {pictures} photos", f"at most {MOST_PICTURES}", "fewer queries, or a smaller --top"
        )
    # Photos lie in one folder mostly; what all names begin with would only fill the page.
    above = len(os.path.dirname(os.path.commonprefix(found.dataset.names)))  # noqa: RUF071 - cut back to a folder
    of = f"{found.photos:,} photos in {shown(found.dataset.title)}".replace(",", " ")
    title = "The nearest photos"
    return "".join(
        (
            _HEAD,
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n",
            f"<p>Of {plain(of)}, by the cosine of the features: {plain(found.title)}. ",
            "1 is the same direction, 0 is unrelated.</p>\n</header>\n<main>\n",
            *(_section(answer, found, above) for answer in found.answers),
            "</main>\n</body>\n</html>\n",
        )
    )


def _section(answer: Answer, found: Similar, above: int) -> str:
    name = plain(answer.query)
    if answer.unreadable:
        return f"<section>\n<h2>{name}</h2>\n<p>cannot be read: {plain(answer.unreadable)}</p>\n</section>\n"
    picture = _picture(found.queries.source, answer.query, f"the query, {answer.query}", ASKED)
    near = "".join(_item(neighbour, found.dataset.source, above) for neighbour in answer.neighbours)
    count = len(answer.neighbours)
    return (
        f'<section>\n<div class="asked">{picture}<div><h2>{name}</h2>\n'
        f"<p>and the {f'{count} photos' if count > 1 else 'photo'} nearest to it, nearest first</p></div></div>\n"
        f"<ol>\n{near}</ol>\n</section>\n"
    )


def _item(near: Neighbour, source: Source, above: int) -> str:
    below = near.name[above:].lstrip(f"/{os.sep}")
    twin = '<div class="twin">the same file</div>' if near.same_file else ""
    return (
        f"<li>{_picture(source, near.name, f'{near.label}, {near.name}', NEAR)}"
        f'<div class="bar" aria-hidden="true"><i style="width:{max(0.0, near.similarity):.1%}"></i></div>'
        f'<div class="line"><b>{plain(near.label)}</b><span>{near.similarity:.3f}</span></div>'
        f'<p class="name" title="{plain(near.name)}">{plain(below)}</p>{twin}</li>\n'
    )


def _picture(source: Source, name: str, words: str, side: int) -> str:
    try:
        image = images.decode(source.read(name), Geometry(side, side))
    except UnreadableImage as error:  # it was readable a moment ago
        return f'<div class="picture">{plain(error.happened)}</div>'
    # Shown pixel by pixel.
    tiny = max(image.size) <= FULL_SIDE
    image.thumbnail((side, side))
    look = ' class="tiny"' if tiny else ""
    return f'<div class="picture"><img{look} alt="{plain(words)}" src="{data_address(image, QUALITY)}"></div>'
