"""The commands that take a net's features elsewhere: features, similar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kopal.cli.everyday import Data, Json, LabelsFrom, Quiet
from kopal.cli.words import HELP

if TYPE_CHECKING:
    from kopal.extraction import Extraction
    from kopal.log import Log

Cut = Annotated[str | None, typer.Option("--at", help=HELP["--at"], show_default=False)]
Net = Annotated[str | None, typer.Option("--net", help=HELP["--net"], show_default=False)]
Weights = Annotated[str | None, typer.Option("--weights", help=HELP["--weights features"], show_default=False)]
Download = Annotated[bool, typer.Option("--download", help=HELP["--download"])]
OfModel = Annotated[Path | None, typer.Option("--model", help=HELP["--model"], show_default=False)]
NoCache = Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])]


def features(
    data: Data,
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out features"], show_default=False)] = None,
    net: Net = None,
    at: Cut = None,
    pool: Annotated[bool, typer.Option("--pool", help=HELP["--pool"])] = False,
    weights: Weights = None,
    download: Download = False,
    seed: Annotated[int, typer.Option("--seed", help=HELP["--seed features"], min=0)] = 0,
    model: OfModel = None,
    no_cache: NoCache = False,
    labels_from: LabelsFrom = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    from kopal.cli.aside import telling
    from kopal.cli.output import free_name, say, say_json, say_whole, shown
    from kopal.cli.place import check_features_place
    from kopal.datasets import open_dataset
    from kopal.errors import DataError
    from kopal.extraction import extract
    from kopal.feature_table import write_features
    from kopal.log import Ledger

    out = out or free_name("features.npz")
    check_features_place(out, [data, *([str(model)] if model else [])])
    extraction = origin(model, net, at, pool, weights, seed, download)
    with telling(as_json, quiet) as log:
        log(dataset := open_dataset(data, labels_from, unlabelled=True))
        tell(extraction, log)
        photos, rows = extract(dataset, extraction, not no_cache, log)
        log(Ledger(rows, len(dataset), complete=True))
    if not len(photos):
        raise DataError("none of the photos can be read", "photos to take features of")
    write_features(out, photos, extraction.about)
    if as_json:
        dimension = photos.features.shape[1]
        say_json({"file": str(out), "rows": len(photos), "dimension": dimension, "unreadable": len(rows)})
        return
    say(f"saved in {shown(out)}, {out.stat().st_size / 1e6:.1f} MB: {len(photos)} rows of {photos.features.shape[1]}")
    if out.suffix.lower() == ".npz" and not quiet:
        say_whole(f'to read it:  numpy.load("{shown(out)}")["features"]')


def similar(
    data: Data,
    queries: Annotated[list[str], typer.Argument(help=HELP["queries"], show_default=False)],
    top: Annotated[int, typer.Option("--top", help=HELP["--top similar"], min=1)] = 12,
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out similar"], show_default=False)] = None,
    as_json: Json = False,
    net: Net = None,
    weights: Weights = None,
    download: Download = False,
    model: OfModel = None,
    no_cache: NoCache = False,
    labels_from: LabelsFrom = None,
    quiet: Quiet = False,
) -> int:
    from kopal.cli.aside import telling
    from kopal.cli.everyday import paths
    from kopal.cli.output import say, shown
    from kopal.cli.place import check_page_place
    from kopal.cli.similar_lines import similar_json, similar_lines
    from kopal.datasets import open_dataset
    from kopal.files import write_text
    from kopal.log import Ledger
    from kopal.similar import similar as look_up

    if out is not None:
        check_page_place(out, "similar", [data, *queries])
    extraction = origin(model, net, weights=weights, download=download)
    with telling(as_json, quiet) as log:
        tell(extraction, log)
        dataset = open_dataset(data, labels_from, unlabelled=True)
        found = look_up(dataset, list(paths(queries)), extraction, top, not no_cache, log)
        log(Ledger(found.ledger, len(found.dataset), complete=True))
    if as_json:
        similar_json(found)
    else:
        for line in similar_lines(found):
            say(line)
    if out is not None:
        from kopal.report.similar_page import similar_page

        write_text(out, similar_page(found))
        if not as_json and not quiet:
            say(f"\nas a page: {shown(out)}")
    return 1 if any(answer.unreadable for answer in found.answers) else 0


def origin(
    model: Path | None,
    net: str | None,
    at: str | None = None,
    pool: bool = False,
    weights: str | None = None,
    seed: int = 0,
    download: bool = False,
) -> Extraction:
    """Where the features come from, as the options say: a model file, or a net."""
    from kopal.classifier import load
    from kopal.cli.screen import Screen
    from kopal.errors import UsageError
    from kopal.extraction import DEFAULT_NET, of_model, of_net
    from kopal.files import shown

    if model is None:
        with Screen() as screen:
            return of_net(net or DEFAULT_NET, at, pool, weights or "auto", seed, download, screen)
    said = {"--net": net, "--at": at, "--weights": weights, "--pool": pool or None, "--download": download or None}
    if unfit := [name for name, value in said.items() if value is not None]:
        raise UsageError(f"--model with {' and '.join(unfit)}", "one of them: a model file brings its own net")
    return of_model(load(model), shown(model))


def tell(extraction: Extraction, log: Log) -> None:
    """What the features are, and what their owner should know."""
    from kopal.log import Note

    log(extraction)
    for note in extraction.notes:
        log(Note(note))
