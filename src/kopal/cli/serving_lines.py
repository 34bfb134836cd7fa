"""What kopal serve prints: lines for people on a terminal, or one JSON object a line for machines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from kopal.cli.output import as_json, say, say_whole, shown
from kopal.log import Log, Note
from kopal.serve import Settings


def screen(model: str, settings: Settings, log_json: bool) -> Log:
    """A log that prints. The extra of `kopal serve` must be installed."""
    from kopal.serve.app import Served
    from kopal.serve.server import Listening, Ready, Stopping

    tell: Callable[..., None] = _json_line if log_json else _line

    def log(noun: object) -> None:
        match noun:
            case Listening(host, port):
                address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                tell("listening", f"{model} at {address} (Ctrl-C ends it)", address=address)
                if settings.public:
                    asked = "with the token" if settings.token else "WITHOUT ANY TOKEN"
                    tell("warning", f"warning: every machine that reaches this one may ask, {asked}")
            case Ready(seconds):
                tell("ready", f"ready after {seconds:.1f} s: the golden outputs agree", seconds=round(seconds, 3))
            case Stopping():
                tell("stopping", "stopping: what is under way is answered first")
            case Note(text):
                tell("note", text)
            case Served():
                milliseconds = 1000 * noun.seconds
                text = f"{noun.client} {noun.method} {noun.path} {noun.status} {milliseconds:.1f} ms"
                tell(
                    "request", text, id=noun.id, client=noun.client, method=noun.method, path=noun.path,
                    status=noun.status, ms=round(milliseconds, 2), bytes=noun.bytes, photos=noun.photos,
                )  # fmt: skip

    return log


def _line(event: str, text: str, **fields: object) -> None:
    _say(say, shown(f"{time.strftime('%H:%M:%S')} {text}" if event == "request" else text))


def _json_line(event: str, text: str, **fields: object) -> None:
    value = {"time": round(time.time(), 3), "event": event, **({} if event == "request" else {"text": text}), **fields}
    _say(say_whole, as_json(value))


def _say(how: Callable[[str], None], text: str) -> None:
    try:
        how(text)
    except OSError:
        # Whoever read the log has gone, or its disk is full; those who ask for answers still get them.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
