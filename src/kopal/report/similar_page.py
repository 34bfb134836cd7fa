"""The nearest photos of each query as one web page: a file that needs no other, no network and no script."""

from __future__ import annotations

import os

from kopal.datasets import Source
from kopal.errors import UsageError
from kopal.files import shown
from kopal.report.web_page import generator, head, picture, plain
from kopal.similar import Answer, Neighbour, Similar

MOST_PICTURES = 2000

# Pixels of a thumbnail's longer side: enough for a sharp picture on a fine screen, some 10 kB.
NEAR, ASKED = 256, 480

_STYLE = """
.asked { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin-bottom: 1.25rem; }
.asked > div { flex: 1 1 14rem; min-width: 0; }
.asked .picture { flex: none; width: min(15rem, 100%); }
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
            head(title, generator("similar"), _STYLE),
            f"<body>\n<header>\n<h1>{title}</h1>\n",
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
    query = picture(found.queries.source, answer.query, f"the query, {answer.query}", ASKED)
    near = "".join(_item(neighbour, found.dataset.source, above) for neighbour in answer.neighbours)
    count = len(answer.neighbours)
    return (
        f'<section>\n<div class="asked">{query}<div><h2>{name}</h2>\n'
        f"<p>and the {f'{count} photos' if count > 1 else 'photo'} nearest to it, nearest first</p></div></div>\n"
        f"<ol>\n{near}</ol>\n</section>\n"
    )


def _item(near: Neighbour, source: Source, above: int) -> str:
    below = near.name[above:].lstrip(f"/{os.sep}")
    twin = '<div class="twin">the same file</div>' if near.same_file else ""
    return (
        f"<li>{picture(source, near.name, f'{near.label}, {near.name}' if near.label else near.name, NEAR)}"
        f'<div class="bar" aria-hidden="true"><i style="width:{max(0.0, near.similarity):.1%}"></i></div>'
        f'<div class="line"><b>{plain(near.label)}</b><span>{near.similarity:.3f}</span></div>'
        f'<p class="name" title="{plain(near.name)}">{plain(below)}</p>{twin}</li>\n'
    )
