"""POST /v1/explain: one photo as the body; its answer, and a map of what speaks for a class and what against, as JSON.

It stands in the same line as every photo, under the same limits and the same deadline.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from PIL import Image

from kopal.attribution import Attribution
from kopal.prediction import Prediction
from kopal.serve.body import Bodies
from kopal.serve.exchange import Answer, Refusal, Request, json_answer
from kopal.serve.line import Why
from kopal.serve.predict import content_types, is_photo, readable
from kopal.serve.service import Service

MOST_PLACES = 32
"""Rows and columns of a map that is sent. Covers overlap in seventh parts, so more would say nothing more."""


@final
class Explain:
    """Maps for photos."""

    def __init__(self, service: Service, bodies: Bodies) -> None:
        self._service = service
        self._bodies = bodies

    async def __call__(self, request: Request) -> Answer:
        """The answer to a request. Raises `Refusal` and `Gone`."""
        label = self._label(request)
        if not is_photo(content_types(request)[1]):
            raise Refusal(
                415, "the Content-Type must be image/jpeg or another picture's: one photo is explained at once"
            )
        self._service.admit()
        async with self._bodies.reading(request.headers, request.receive) as body:
            request.trace.bytes = len(body)
            request.trace.photos = 1
            (answer,) = await self._service.answered([Why(body, label)], request.receive)
        prediction, attribution = readable(answer)
        return json_answer(self._as_json(prediction, attribution, label))

    def _label(self, request: Request) -> int | None:
        name = request.query("class").get("class")
        if name is None:
            return None
        if name not in self._service.classifier.classes:
            raise Refusal(400, "the model has no class of that name; /openapi.json lists them")
        return self._service.classifier.classes.index(name)

    def _as_json(self, prediction: Prediction, attribution: Attribution, label: int | None) -> dict[str, Any]:
        geometry = self._service.classifier.geometry
        return {
            "label": prediction.label,
            "probability": prediction.probability,
            "explained": prediction.label if label is None else self._service.classifier.classes[label],
            "method": attribution.method,
            "map": rows(attribution),
            "in_words": attribution.in_words(),
            "seen": {"width": geometry.width, "height": geometry.height, "crop": geometry.crop},
            "model": self._service.settings.name,
            "digest": self._service.digest,
        }


def rows(attribution: Attribution) -> list[list[float]]:
    """The map row by row, six digits a number; where it has more places than are sent, means of neighbours."""
    worth = attribution.worth
    height, width = (min(side, MOST_PLACES) for side in worth.shape)
    if (height, width) != worth.shape:
        worth = np.asarray(Image.fromarray(worth).resize((width, height), Image.Resampling.BOX))
    return [[float(f"{value:.6g}") for value in row] for row in worth.tolist()]
