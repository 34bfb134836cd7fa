"""Letters that a screen lacks, as on Windows' old code pages: our own signs get a likeness, a user's letters an escape.

So no output ever fails, and what is aligned by `as_printed` stays aligned.
"""

from __future__ import annotations

import codecs
import sys

ERRORS = "kopal-plain"
LIKE = {"→": ">", "←": "<", "–": "-", "—": "-", "…": ".", "×": "x", "·": ".", "•": "*", "≥": ">", "≤": "<", "²": "2"}


def as_printed(text: str) -> str:
    """The text as standard output will show it."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, ERRORS).decode(encoding, "replace")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What to write in place of letters that cannot be encoded, all ASCII, as `codecs.register_error` wants it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(LIKE.get(letter) or _escape(letter) for letter in lacking), error.end


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


codecs.register_error(ERRORS, _plainly)
