"""What a command tells beside its result: on the screen; to standard error, where a machine reads; or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from kopal.cli.screen import Screen
from kopal.log import Log, silent


@contextmanager
def telling(as_json: bool = False, quiet: bool = False) -> Iterator[Log]:
    """The log of a command: silent where it is to be quiet, and away from standard output where that is JSON."""
    if quiet:
        yield silent
        return
    with Screen() as screen:
        yield _beside(screen) if as_json else screen


def _beside(screen: Screen) -> Log:
    def tell(noun: object) -> None:
        with redirect_stdout(sys.stderr):
            screen(noun)

    return tell
