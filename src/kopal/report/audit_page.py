"""An audit as one web page: each kind of finding with its worst photos, beside the photos that they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kopal.audit import KINDS, MEANING, Audit, Finding, Kind
from kopal.datasets import Dataset
from kopal.files import shown
from kopal.report.web_page import generator, head, picture, plain

MOST_PICTURES = 300
PER_KIND = 24
BESIDE = 2
"""Pictures on the page, findings of a kind, and other photos of a finding that are shown."""
SIDE = 200
"""Pixels of a thumbnail's longer side: some 6 kB."""

_STYLE = """
nav { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1rem; }
nav a { padding: .15rem .6rem; border: 1px solid var(--line); border-radius: 999px; background: var(--field);
  color: var(--ink); font-size: .9rem; text-decoration: none; }
nav a:focus-visible, nav a:hover { border-color: var(--mark); }
nav b { font-variant-numeric: tabular-nums; }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1rem;
  margin: 1rem 0 0; padding: 0; list-style: none; }
li { min-width: 0; padding: .75rem; border: 1px solid var(--line); border-radius: 8px; }
.photos { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; margin-bottom: .6rem; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: .2rem; color: var(--quiet); font-size: .75rem; line-height: 1.3; overflow-wrap: anywhere; }
.why { color: var(--ink); }
.end { display: flex; justify-content: space-between; gap: .5rem; font-size: .85rem; }
.end span { font-variant-numeric: tabular-nums; }
.advice { padding: 0 .45rem; border-radius: 4px; background: var(--twin-field); color: var(--twin); }
"""


def audit_page(audit: Audit, dataset: Dataset) -> str:
    """The page's text; photos are read from the set once more, no more than 300 of them."""
    title = "What is wrong with these photos"
    counts = audit.counts()
    of = f"{_count(len(audit.findings))} findings on {_count(audit.photos)} photos in {shown(dataset.title)}"
    chips = "".join(
        f'<a href="#{KINDS.index(kind)}"><b>{_count(count)}</b> {plain(kind)}</a>\n' for kind, count in counts.items()
    )
    shelf = _Shelf(dataset)
    sections = "".join(_section(kind, audit.of(kind), shelf) for kind in counts)
    said = "Nothing is removed: a list to edit comes from --out review.csv." if counts else "Nothing was found."
    return (
        f"{head(title, generator('audit'), _STYLE)}<body>\n<header>\n<h1>{title}</h1>\n<p>{plain(of)}. {said}</p>\n"
        f"<nav>{chips}</nav>\n</header>\n<main>\n{sections}</main>\n</body>\n</html>\n"
    )


class _Shelf:
    """The photos of a set, of which so many are shown as pictures."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._left = MOST_PICTURES
        self._classes = dict(zip(dataset.names, dataset.labels, strict=True))
        self._above = len(os.path.dirname(os.path.commonprefix(dataset.names)))  # noqa: RUF071 - cut back to a folder

    def figure(self, name: str) -> str:
        label = self._dataset.classes[self._classes[name]] if name in self._classes else ""
        below = name[self._above :].lstrip(f"/{os.sep}")
        shot = ""
        if self._left > 0 and name in self._classes:
            self._left -= 1
            shot = picture(self._dataset.source, name, f"{label}, {name}", SIDE)
        return f'<figure>{shot}<figcaption title="{plain(name)}">{plain(below)}</figcaption></figure>'


def _section(kind: Kind, findings: tuple[Finding, ...], shelf: _Shelf) -> str:
    rest = len(findings) - PER_KIND
    more = f"<p>and {_count(rest)} more, which --out review.csv lists</p>\n" if rest > 0 else ""
    items = "".join(_items(findings[:PER_KIND], shelf))
    name = f"{_count(len(findings))} × {plain(kind)}"
    return (
        f'<section id="{KINDS.index(kind)}">\n<h2>{name}</h2>\n<p>{plain(MEANING[kind])}</p>\n'
        f"<ul>\n{items}</ul>\n{more}</section>\n"
    )


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _items(findings: tuple[Finding, ...], shelf: _Shelf) -> Iterator[str]:
    for found in findings:
        own = (found.file,) if found.file else ()
        names = (*own, *found.others[: BESIDE if own else BESIDE + 1])
        photos = f'<div class="photos">{"".join(map(shelf.figure, names))}</div>' if names else ""
        hidden = len(own) + len(found.others) - len(names)
        more = f"; {hidden} more photos belong to it" if hidden > 0 else ""
        yield (
            f'<li>{photos}<p class="why">{plain(found.why)}{more}</p>'
            f'<p class="end"><b class="advice">{plain(found.action)}</b><span>{found.score:.3g}</span></p></li>\n'
        )
