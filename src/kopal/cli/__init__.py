"""The command line. `main` is its only door: it turns errors into one message and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from kopal.errors import KopalError

INTERRUPTED, UNHEARD, USAGE, BUG = 130, 141, 2, 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 done with unreadable photos, 2 bad input, 130 interrupted, 141 unheard.

    Unheard: whoever read standard output has gone, as `head` does, and what was not done by then is not done.
    `--debug` anywhere before a bare `--` shows the traceback of an error.
    """
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """One command → its exit code."""
    from kopal.cli.typography import ERRORS

    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that are no text, a screen may lack letters; to show them escaped beats to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)
    # Pillow warns of damaged tags in pictures that it reads well; the owner of a thousand photos need not see each.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:
        arguments.remove("--debug")

    import typer

    from kopal.cli.app import app
    from kopal.errors import KopalError, TogetherError

    # Typer carries its own copy of click in some versions and the package in others: this finds either's base error.
    wrong_words = cast("type[Exception]", typer.BadParameter.__mro__[2])
    try:
        command = typer.main.get_command(app)
        # Not through its main(), which has ways of its own with Ctrl-C and closed pipes.
        with command.make_context("kopal", arguments or ["--help"]) as context:
            return command.invoke(context) or 0
    except typer.Exit as end:
        return end.exit_code
    except KopalError as error:
        alike = not isinstance(error, TogetherError)
        return _fail(f"error: {_in_three_lines(error)}", USAGE, debug, alike)
    except wrong_words as error:
        return _fail(f"error: {_in_one_line(error)}", USAGE, debug, alike=True)
    except (KeyboardInterrupt, typer.Abort) as stop:
        kept = str(stop) or "nothing half-written was left behind"
        return _fail(f"interrupted: {kept}", INTERRUPTED, debug, alike=True)
    except BrokenPipeError:
        # The reader of our output has gone (… | head): nothing to tell, and nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNHEARD
    except OSError as error:
        return _fail(f"error: {error.strerror or error}\nto fix:   free some space, or check the disk", USAGE, debug)
    except MemoryError:
        return _fail("error: out of memory\nto fix:   close other programs, or train on fewer photos", USAGE, debug)
    except Exception as error:
        bug = f"error: {type(error).__name__}: {error}\nThis is a bug in kopal; --debug shows where."
        return _fail(bug, BUG, debug)


def _fail(message: str, code: int, debug: bool, alike: bool = False) -> int:
    """The exit code, once the message is told: by one process of several where all of them meet it `alike`."""
    from kopal.cli.output import paragraph, say, say_whole
    from kopal.cli.voices import complains

    if debug:
        say_whole(traceback.format_exc().rstrip("\n"), sys.stderr)
    if alike and not complains():
        return code
    for line in message.split("\n"):
        say(paragraph(line, 10, sys.stderr), sys.stderr)
    return code


def _in_three_lines(error: KopalError) -> str:
    """A message whose parts are a line each: none of the names in them begins a line of its own."""
    from kopal.errors import KopalError
    from kopal.files import shown

    return str(KopalError(*map(shown, (error.happened, error.expected, error.fix))))


def _in_one_line(error: Any) -> str:
    """A message of click's with the help to turn to; an option's name stands in it already."""
    hint = f"\nto fix:   {error.ctx.command_path} --help" if getattr(error, "ctx", None) else ""
    return f"{error.format_message()}{hint}"
