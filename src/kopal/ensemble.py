"""Several classifiers as one: their probabilities are averaged in one graph, which is one file with the usual face.

    pixels → every member's probabilities → columns by class name → mean p → scores = log p

Averaging lowers the part of the error in which the members disagree; the log loss of the mean is never above the mean
of the members' log losses, by Jensen's inequality. The members' own temperatures stay inside their branches, and the
whole has temperature 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from kopal.audit import marked_photos, marks
from kopal.backends.onnx_backend import with_face
from kopal.backends.onnx_graph import Graph
from kopal.backends.onnx_merge import Merge
from kopal.classifier import Classifier
from kopal.errors import ModelFileError, UsageError
from kopal.files import shown
from kopal.model_file import UNKNOWN, Card, in_words

FLOOR = float(np.finfo(np.float32).tiny)
"""The least probability of which the log is taken, so that every score is finite. A floor of 1e-6 would take up to
K · 1e-6 from the winner, a thousandth where there are 1 000 classes; this one changes nothing."""

MOST_BYTES = 2_000_000_000
"""Protobuf, and with it ONNX without data outside the file, ends at 2 GiB."""

NETS_SHOWN, CLASSES_SHOWN, NAME_SHOWN = 3, 5, 48

THRESHOLDS = {
    UNKNOWN: "tell unknown photos",
    "coverage": "promise a coverage",
    "max_error": "promise a share of errors",
}
"""What a model does by thresholds that were found for its own scores, so that they say nothing of a mean."""


def combine(classifiers: Sequence[Classifier]) -> Classifier:
    """Two or more classifiers of the same classes and geometry → one; each has one vote, an ensemble among them too.

    What members have in common is in the file once, and computed once: a frozen net under two heads costs as one.

    Raises `UsageError` for models that cannot be combined, `ModelFileError` for one of another version of kopal.
    """
    members = list(classifiers)
    _check(members)
    classes = tuple(sorted(members[0].classes))
    merge = Merge()
    graph = merge.graph
    votes = []
    for number, member in enumerate(members, start=1):
        vote = _take(merge, member, number)
        if member.classes != classes:
            places = {name: place for place, name in enumerate(member.classes)}
            columns = graph.constant(f"columns{number}", np.array([places[name] for name in classes], np.int64))
            vote = graph.node("Gather", [vote, columns], f"by_name{number}", axis=1)
        votes.append(vote)
    graph.node("Mean", votes, "mean")
    graph.node("Max", ["mean", graph.constant("floor", np.array(FLOOR, np.float32))], "floored")
    graph.node("Log", ["floored"], "scores")
    _check_size(graph)
    geometry = members[0].geometry
    model = with_face(graph, "ensemble", geometry.shape, 1.0, len(classes))
    return Classifier.build(model, Card(_title(members), classes, geometry, 1.0, (), _provenance(members)))


def left_out(classifiers: Sequence[Classifier]) -> str:
    """What some of these do and the whole does not, such as "tell unknown photos or promise a coverage", or ""."""
    done = [what for key, what in THRESHOLDS.items() if any(key in each.card.thresholds for each in classifiers)]
    return " or ".join([", ".join(done[:-1]), done[-1]]) if done[1:] else "".join(done)


def _take(merge: Merge, member: Classifier, number: int) -> str:
    try:
        return merge.take(member.graph(), "probabilities", f"member{number}.")
    except ModelFileError as error:
        raise ModelFileError(f"{_called(member, number)}: {error.happened}", error.expected, error.fix) from error


def _check(members: list[Classifier]) -> None:
    if len(members) < 2:
        raise UsageError(f"an ensemble of {len(members)} model", "two or more", "name another model.onnx")
    first = members[0]
    seen: dict[str, int] = {}
    for number, member in enumerate(members, start=1):
        if member.digest in seen:
            raise UsageError(
                f"models {seen[member.digest]} and {number} are the same file",
                "different models: the mean of a model with itself says what it says alone",
                "leave one out, or train another with --seed 1 or another --net",
            )
        seen[member.digest] = number
        if {*member.classes} != {*first.classes}:
            differences = " and ".join(_differences(first, member))
            raise UsageError(
                f"{_called(member, number)} {differences}, compared with {_called(first, 1)}",
                "models of the same classes, in any order",
                "train them on the same class folders",
            )
        if member.geometry != first.geometry:
            raise UsageError(
                f"{_called(first, 1)} and {_called(member, number)} look at photos differently: model 1 "
                f"{in_words(first.geometry)}; model {number} {in_words(member.geometry)}",
                "models of one geometry: a file takes pixels of one kind",
                "train them on the same photos with the same --image-size, or with nets of the same input",
            )


def _check_size(graph: Graph) -> None:
    size = sum(tensor.ByteSize() for tensor in graph.constants.values())
    if size > MOST_BYTES:
        raise UsageError(
            f"the weights of all models are {size / 1e9:.1f} GB",
            f"at most {MOST_BYTES / 1e9:.1f} GB, which is what one ONNX file can hold",
            "leave a model out",
        )


def _differences(first: Classifier, member: Classifier) -> Iterator[str]:
    if missing := sorted({*first.classes} - {*member.classes}):
        yield f"lacks {_listed(missing)}"
    if extra := sorted({*member.classes} - {*first.classes}):
        yield f"has {_listed(extra)} besides"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - CLASSES_SHOWN} more" if len(names) > CLASSES_SHOWN else ""
    return ", ".join(map(shown, map(_brief, names[:CLASSES_SHOWN]))) + more


def _called(member: Classifier, number: int) -> str:
    return f"model {number} ({_brief(shown(member.card.net))})"


def _brief(name: str) -> str:
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1]}…"


def _title(members: Sequence[Classifier]) -> str:
    """Such as "ensemble of 2 x linear and garment"; an ensemble among them stands in brackets."""
    nets = Counter(
        _brief(f"({member.card.net})" if "members" in member.card.provenance else member.card.net) for member in members
    )
    told = [f"{count} x {net}" if count > 1 else net for net, count in nets.items()]
    if len(told) > NETS_SHOWN:
        told = [*told[: NETS_SHOWN - 1], f"{len(told) - NETS_SHOWN + 1} more"]
    return f"ensemble of {', '.join(told[:-1])} and {told[-1]}" if told[1:] else f"ensemble of {told[0]}"


def _provenance(members: Sequence[Classifier]) -> dict[str, Any]:
    """Who the members are, and which photos any of them has learned from."""
    value: dict[str, Any] = {"kopal": version("kopal")}
    known = [str(member.card.provenance.get("learned_from", "")) for member in members]
    photos: set[bytes] = set().union(*map(marked_photos, known))
    if all(known):
        value["photos"] = len(photos)
    value["members"] = [_entry(member) for member in members]
    return value | {"learned_from": marks(photos)} if photos else value


def _entry(member: Classifier) -> dict[str, Any]:
    of_interest = ("photos", "weights", "members")
    kept = {key: value for key, value in member.card.provenance.items() if key in of_interest}
    return {"net": member.card.net, "sha256": member.digest} | kept
