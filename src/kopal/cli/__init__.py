"""The command line. `main` is its only door: it turns errors into one message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

INTERRUPTED, USAGE, BUG = 130, 2, 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 done with unreadable photos, 2 bad input, 130 interrupted.

    `--debug` anywhere before a bare `--` shows the traceback of an error.
    """
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """One command → its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that are no text; to show them escaped beats to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:
        arguments.remove("--debug")

    import click

    from kopal.cli.app import app
    from kopal.errors import KopalError

    try:
        return app(args=arguments, prog_name="kopal", standalone_mode=False) or 0
    except KopalError as error:
        message, code = f"error: {error}", USAGE
    except click.ClickException as error:
        hint = (
            f"\nto fix:   {error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        )
        message, code = f"error: {error.format_message()}{hint}", USAGE
    except (KeyboardInterrupt, click.Abort):
        message, code = "interrupted: nothing half-written was left behind", INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (… | head): nothing to tell, and nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        message, code = "error: out of memory\nto fix:   close other programs, or train on fewer photos", USAGE
    except Exception as error:
        message, code = f"error: {type(error).__name__}: {error}\nThis is a bug in kopal; --debug shows where.", BUG
        if not debug:
            print(message, file=sys.stderr)  # noqa: T201
            return code
        traceback.print_exc()
        return code
    if debug:
        traceback.print_exc()
    print(message, file=sys.stderr)  # noqa: T201
    return code
