"""The commands to study with: nets."""

from __future__ import annotations

from typing import Annotated

import typer

from kopal.cli.words import HELP


def nets(net: Annotated[str | None, typer.Argument(help=HELP["net"], show_default=False)] = None) -> None:
    from kopal.cli.output import say
    from kopal.nets.table import family_lines, net_lines

    for line in net_lines(net) if net else family_lines():
        say(line)
