"""Every error that a user of kopal can meet, in one tree.

    KopalError                     the base: one message, three parts, no traceback on the command line
    ├── UsageError                 an argument that cannot be: unknown name, value out of range, missing path
    ├── DataError                  the photos as a whole: no photos, one class, a class too small
    ├── OutputError                a folder or file that cannot be written
    ├── ModelFileError             a file that is not a sound kopal model
    ├── WeightsError               pretrained weights that are damaged, unknown or do not fit the net
    ├── PixelsError                an array of the wrong shape or type
    ├── CheckpointError            a training that cannot go on: damaged, or of another recipe or data
    ├── TogetherError              processes that train together and have lost one of them
    ├── ServeError                 a server that cannot start: a port in use, a worker that does not come up
    ├── Diverged                   a descent or a training whose numbers are no longer finite
    └── UnreadableImage            one file that is not a readable photo (collected in the ledger, not fatal)

Each message says what happened, what was expected and how to fix it.
"""

from __future__ import annotations


class KopalError(Exception):
    """An error with a cause, an expectation and a remedy.

    `happened`, `expected` and `fix` are sentences without a final full stop; the last two may be empty.
    """

    def __init__(self, happened: str, expected: str = "", fix: str = "") -> None:
        super().__init__(happened, expected, fix)
        self.happened = happened
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.happened]
        if self.expected:
            lines.append(f"expected: {self.expected}")
        if self.fix:
            lines.append(f"to fix:   {self.fix}")
        return "\n".join(lines)


class UsageError(KopalError):
    """An argument that cannot be: an unknown name, a value out of range, a path that is not there."""


class DataError(KopalError):
    """The photos as a whole cannot be learned from: none readable, one class, a class too small."""


class OutputError(KopalError):
    """A folder or file cannot be written; whatever stood there before is still there."""


class ModelFileError(KopalError):
    """A file is not a sound kopal model: damaged, foreign, or asking for what we refuse to run."""


class WeightsError(KopalError):
    """Pretrained weights are damaged, hostile, unknown or do not fit the net."""


class WeightsMissing(WeightsError):
    """Published weights are not on this machine, and were not to be fetched."""


class PixelsError(KopalError):
    """An array of pixels has the wrong shape or type; the message names both."""


class CheckpointError(KopalError):
    """A training cannot be resumed: its checkpoint is damaged, or of another recipe or other photos."""


class TogetherError(KopalError):
    """Processes that train one net together did not find each other, or lost one of them."""


class ServeError(KopalError):
    """A server cannot start, or cannot go on: its port is in use, or its workers do not come up."""


class Diverged(KopalError):
    """A descent or a training left the finite numbers; the message names the step and advises a lower rate."""


class UnreadableImage(KopalError):
    """One file is not a readable photo. `kind` is one word for tables, `happened` the reason in words."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        return UnreadableImage, (self.kind, self.happened)
