"""The commands to study with: nets, descent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from kopal.cli.words import HELP

Differences = Literal["forward", "central"]


def nets(
    net: Annotated[str | None, typer.Argument(help=HELP["net"], show_default=False)] = None,
    graph: Annotated[Path | None, typer.Option("--graph", help=HELP["--graph"], show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot nets"], show_default=False)] = None,
) -> None:
    from kopal.cli.output import room, say, shown
    from kopal.errors import UsageError
    from kopal.fit.downloads import nets_at_hand
    from kopal.fit.foreign import named_net
    from kopal.nets.table import family_lines, net_lines

    if net is not None and plot is not None:
        raise UsageError("--plot with a net: it compares all of them", "one of the two", "kopal nets --plot nets.svg")
    if net is None and graph is not None:
        raise UsageError("--graph without a net", "the name of one net", f"kopal nets vgg16 --graph {shown(graph)}")
    if plot is not None:
        _draw_all(plot)
    elif net is not None and graph is not None:
        _draw_one(net, graph)
    else:
        for line in net_lines(named_net(net), room()) if net else family_lines(nets_at_hand(), room()):
            say(line)


def _draw_all(plot: Path) -> None:
    from kopal.cli.output import say, shown
    from kopal.cli.place import check_picture_place
    from kopal.files import write_bytes
    from kopal.report.nets_plot import nets_picture

    kind = check_picture_place(plot, "--plot")
    write_bytes(plot, nets_picture(kind))
    say(f"drawn in {shown(plot)}")


def _draw_one(net: str, graph: Path) -> None:
    from kopal.cli.output import say, shown
    from kopal.cli.place import check_picture_place
    from kopal.files import write_text
    from kopal.fit.foreign import named_net
    from kopal.report.net_graph import KINDS, net_graph

    check_picture_place(graph, "--graph", formats=KINDS)
    write_text(graph, net_graph(named_net(net)))
    say(f"drawn in {shown(graph)}")


def descent(
    formula: Annotated[str, typer.Argument(help=HELP["formula"], show_default=False)],
    start: Annotated[str, typer.Option("--from", help=HELP["--from"])] = "1",
    rate: Annotated[float, typer.Option("--rate", help=HELP["--rate"])] = 0.1,
    steps: Annotated[int, typer.Option("--steps", help=HELP["--steps"])] = 6,
    settled: Annotated[float, typer.Option("--settled", help=HELP["--settled"])] = 0.0,
    gradient: Annotated[str, typer.Option("--gradient", help=HELP["--gradient"])] = "forward",
    h: Annotated[float, typer.Option("--h", help=HELP["--h"])] = 0.001,
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot"], show_default=False)] = None,
) -> None:
    from kopal.cli.output import free_name, say, shown
    from kopal.cli.place import check_picture_place
    from kopal.descent import descend
    from kopal.expression import numbers, parse
    from kopal.files import write_bytes
    from kopal.report.descent_plot import descent_picture
    from kopal.report.descent_table import descent_lines
    from kopal.stopping import MaxSteps, Settled

    f, plot = parse(formula), plot or free_name("descent.svg")
    kind, stop = check_picture_place(plot, "--plot"), MaxSteps(steps) | Settled(settled)
    taken = list(descend(f, numbers(start, f.variables), rate, cast("Differences", gradient), h, stop))
    for line in descent_lines(taken, f.variables):
        say(line)
    write_bytes(plot, descent_picture(f, taken, formula, f.variables, kind))
    say(f"drawn in {shown(plot)}")
