"""The fitted thing: pixels or files in, names and probabilities out. It knows how to answer, not how it was trained."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from kopal import images, model_file
from kopal.arrays import Pixels, Probabilities, Scores
from kopal.datasets.archive import Packed
from kopal.errors import ModelFileError, PixelsError, UnreadableImage, UsageError
from kopal.files import shown, write_bytes
from kopal.golden import check_golden
from kopal.images import Geometry
from kopal.model_file import UNKNOWN, Card
from kopal.parallel import chunks, ordered
from kopal.prediction import Prediction
from kopal.runtime import TRAIN_ANEW, brief, chunks_of, images_per_run, run_session, session
from kopal.trust.promise import Promise

BATCH = 8
"""Photos that a worker reads, decodes and answers before it takes the next ones."""

MAX_FILE = 1 << 31
"""Bytes of a model file: protobuf reads no more."""


@final
class Classifier:
    """An image classifier that is one file. Make one with `kopal.load(path)` or `kopal.train(folder)`."""

    def __init__(self, data: bytes, card: Card, session: onnxruntime.InferenceSession) -> None:
        self._data = data
        self._card = card
        self._session = session

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Classifier:
        """The classifier in a model.onnx. Nothing in the file is executed but its checked graph.

        Raises `UsageError` (no such file) and `ModelFileError` (damaged, foreign, not ours).
        """
        try:
            # A look before opening keeps us from waiting on a named pipe.
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(
                    f"cannot read the model {shown(path)}: not a regular file",
                    "a model.onnx",
                    "of a run folder, name the model.onnx inside" if stat.S_ISDIR(status.st_mode) else "",
                )
            if status.st_size > MAX_FILE:
                raise ModelFileError(f"{shown(path)}: {status.st_size / 1e9:.1f} GB", "at most 2 GB", TRAIN_ANEW[1])
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"cannot read the model {shown(path)}: {reason.lower()}",
                "a model.onnx",
                "kopal train writes one into its run folder",
            ) from error
        try:
            return Classifier.from_bytes(data)
        except ModelFileError as error:
            raise ModelFileError(f"{shown(path)}: {error.happened}", error.expected, error.fix) from error

    @staticmethod
    def from_bytes(data: bytes) -> Classifier:
        """The classifier in the bytes of a model.onnx. Raises `ModelFileError`."""
        _, card = model_file.unseal(data)
        return Classifier(data, card, session(data))

    @staticmethod
    def build(model: onnx.ModelProto, card: Card) -> Classifier:
        """A new classifier from a graph with the face and a card; its golden outputs are computed here."""
        runner = session(model.SerializeToString())
        golden, _, _, *more = runner.run(None, {"pixels": model_file.golden_pixels(card.geometry)})
        unknown = tuple(map(float, more[0])) if more else ()
        card = replace(card, golden=model_file.as_golden(golden), golden_unknown=unknown)
        return Classifier.from_bytes(model_file.seal(model, card))

    @property
    def card(self) -> Card:
        """What the file says of itself."""
        return self._card

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of scores and probabilities."""
        return self._card.classes

    @property
    def geometry(self) -> Geometry:
        """How a photo becomes the pixels that this classifier takes."""
        return self._card.geometry

    @property
    def digest(self) -> str:
        """sha256 of the whole file, hexadecimal: the model's identity."""
        return hashlib.sha256(self._data).hexdigest()

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return len(self._data)

    def graph(self) -> onnx.ModelProto:
        """A copy of the checked graph."""
        model, _ = model_file.unseal(self._data)
        return model

    def constants(self) -> dict[str, NDArray[Any]]:
        """Copies of the graph's constants by name: the weights, and with them how the pixels are normalised."""
        return {tensor.name: onnx.numpy_helper.to_array(tensor).copy() for tensor in self.graph().graph.initializer}

    @property
    def parameters(self) -> int:
        """Numbers in the file that were learned, or taken over: its floating-point constants, but for references."""
        found = (array for name, array in self.constants().items() if name.split(".")[0] != UNKNOWN)
        return sum(array.size for array in found if array.dtype.kind == "f")

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels uint8 (N, H, W, C) → scores float32 (N, K), before calibration. Raises `PixelsError`."""
        return self._run(pixels)[0]

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        """Pixels uint8 (N, H, W, C) → calibrated probabilities float32 (N, K). Raises `PixelsError`."""
        return self._run(pixels)[1]

    def predict(self, pixels: Pixels) -> list[str]:
        """Pixels uint8 (N, H, W, C) → N class names. Raises `PixelsError`."""
        return [self.classes[label] for label in self._run(pixels)[2]]

    @property
    def has_unknown(self) -> bool:
        """Whether the file can tell that a photo is of none of its classes."""
        return UNKNOWN in self._card.thresholds

    def unknown(self, pixels: Pixels) -> NDArray[np.float32]:
        """Pixels uint8 (N, H, W, C) → how unlike all that was learned, float32 (N,); above 1 a photo is "unknown".

        The squared distance to what is nearest, over the one that the card's share of the owner's photos exceeds.
        Raises `UsageError` where the file has no such output, `PixelsError`.
        """
        if not self.has_unknown:
            raise UsageError(
                "this model cannot tell unknown photos",
                "a model.onnx with the output `unknown`",
                "train anew with kopal train; an ensemble has none",
            )
        return self._run(pixels)[3]

    def outputs(self, pixels: Pixels) -> dict[str, NDArray[Any]]:
        """Pixels uint8 (N, H, W, C) → every output of the graph by its name, (N, K) or (N). Raises `PixelsError`."""
        names = ("scores", "probabilities", "label", *([UNKNOWN] if self.has_unknown else []))
        return dict(zip(names, self._run(pixels), strict=True))

    def answers(self, pixels: Pixels, top: int = 5) -> list[Prediction]:
        """Pixels uint8 (N, H, W, C) → N predictions that have no path. Raises `PixelsError`."""
        promise = Promise.of_card(self._card.thresholds, len(self.classes))
        return [self._prediction("", top, promise, *row) for row in zip(*self._run(pixels)[1:], strict=True)]

    def predict_files(
        self, paths: Iterable[str | os.PathLike[str]], top: int = 5, coverage: float | None = None
    ) -> Iterator[Prediction]:
        """Photos → predictions, one for each and in order, also for those that cannot be read. Memory stays flat.

        `coverage` asks for sets that keep another promise than the one that the model was trained for. Raises
        `UsageError`, also where the model holds no thresholds for it.
        """
        if isinstance(paths, str | os.PathLike):
            raise UsageError(f"one path, {shown(paths)}, where several are meant", "a list", "predict_files([path])")
        if top < 1:
            raise UsageError(f"top {top}", "1 or more")
        promise = Promise.of_card(self._card.thresholds, len(self.classes), coverage)
        for predictions in ordered(lambda chunk: self._predict_chunk(chunk, top, promise), chunks(paths, BATCH)):
            yield from predictions

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all. Raises `OutputError`."""
        write_bytes(Path(path), self._data)

    def verify(self) -> float:
        """How far today's golden outputs are from those in the file, as `golden.check_golden` says.

        Raises `ModelFileError` where this machine would not answer as the one that made the file.
        """
        found = self._run(model_file.golden_pixels(self.geometry))
        return check_golden(self._card, found, model_file.computes_in_int8(self.graph()))

    def _predict_chunk(self, paths: Sequence[str | os.PathLike[str]], top: int, promise: Promise) -> list[Prediction]:
        readable: list[Pixels] = []
        reasons: list[str] = []
        for path in paths:
            try:
                photo = path.read() if isinstance(path, Packed) else path
                readable.append(images.read(photo, self.geometry))
                reasons.append("")
            except UnreadableImage as error:
                reasons.append(error.happened)
        rows = iter(zip(*self._run_batch(np.stack(readable))[1:], strict=True) if readable else ())
        return [
            Prediction(os.fspath(path), "", 0.0, (), reason)
            if reason
            else self._prediction(path, top, promise, *next(rows))
            for path, reason in zip(paths, reasons, strict=True)
        ]

    def _prediction(
        self,
        path: str | os.PathLike[str],
        top: int,
        promise: Promise,
        row: NDArray[np.float32],
        label: int,
        far: float | None = None,
    ) -> Prediction:
        # The label leads also where rounding makes two probabilities equal.
        best = sorted(range(len(row)), key=lambda index: (index != label, -row[index], index))
        ranked = tuple((self.classes[index], float(row[index])) for index in best[:top])
        inside, why = promise.answer(row, best)
        chosen = None if inside is None else tuple((self.classes[index], float(row[index])) for index in inside)
        answer = Prediction(os.fspath(path), *ranked[0], ranked, candidates=chosen, unsure=why)
        if far is None:
            return answer
        unknown = bool(far > self._card.thresholds[UNKNOWN]["threshold"])
        return replace(answer, unknown=unknown, unknown_score=float(far))

    def _run(self, pixels: Pixels) -> tuple[NDArray[Any], ...]:
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != self.geometry.shape or pixels.ndim != 4:
            wanted = ", ".join(map(str, self.geometry.shape))
            raise PixelsError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}",
                f"uint8 of shape (N, {wanted})",
                "kopal.images.read(file, classifier.geometry) makes them from a photo",
            )
        at_once = max(BATCH, images_per_run(self.geometry))
        if 0 < len(pixels) <= at_once:
            return self._run_batch(pixels)
        empty = np.empty((0, len(self.classes)), np.float32)
        nothing: tuple[NDArray[Any], ...] = (empty, empty, np.empty(0, np.int64))
        parts = [(*nothing, empty[:, 0]) if self.has_unknown else nothing]
        parts += ordered(self._run_batch, chunks_of(pixels, at_once))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def _run_batch(self, pixels: Pixels) -> tuple[NDArray[Any], ...]:
        """Scores, probabilities, labels and, where the file tells it, how unknown each photo is."""
        try:
            found = tuple(run_session(self._session, pixels, self.geometry))
        except Exception as error:  # as in `session`
            raise ModelFileError(f"ONNX Runtime cannot run the graph: {brief(error)}", *TRAIN_ANEW) from error
        wanted = len(pixels), len(self.classes)
        shapes = (wanted, wanted, wanted[:1], *([wanted[:1]] if self.has_unknown else []))
        if tuple(each.shape for each in found) != shapes:
            raise ModelFileError(f"the graph gives scores of shape {found[0].shape}", f"{wanted}", TRAIN_ANEW[1])
        labels = found[2]
        if not all(np.isfinite(each).all() for each in found):
            raise ModelFileError("the graph gives scores that are no numbers", *TRAIN_ANEW)
        if ((labels < 0) | (labels >= wanted[1])).any():
            raise ModelFileError("the graph gives labels that stand for no class", *TRAIN_ANEW)
        return found


def load(path: str | os.PathLike[str]) -> Classifier:
    """The classifier in a model.onnx: `kopal.load("model.onnx").predict_files(["photo.jpg"])`."""
    return Classifier.load(path)
