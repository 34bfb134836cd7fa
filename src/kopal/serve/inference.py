"""The Open Inference Protocol, version 2, over HTTP: what tritonclient, KServe and others speak, on finished pixels.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. A model has one version, 1.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from kopal.classifier import BATCH
from kopal.errors import PixelsError
from kopal.runtime import images_per_run
from kopal.serve.body import Bodies
from kopal.serve.exchange import Answer, Refusal, Request, json_answer
from kopal.serve.line import Batch
from kopal.serve.service import Service
from kopal.serve.tensors import datatype, read_pixels, read_request, wanted_outputs, write_answer

VERSION = "1"


@final
class Inference:
    """Answers of the protocol; `outputs` are the graph's, found out with an empty batch."""

    def __init__(self, service: Service, bodies: Bodies) -> None:
        self._service = service
        self._bodies = bodies
        empty = np.empty((0, *service.classifier.geometry.shape), np.uint8)
        self._empty: dict[str, NDArray[Any]] = service.classifier.outputs(empty)

    async def live(self, request: Request) -> Answer:
        """GET /v2/health/live: the process answers."""
        request.query()
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Answer:
        """GET /v2/health/ready, and the same of the model: 200 where work may be sent here, else 503."""
        request.query()
        ready = self._service.ready
        return json_answer({"name": self._service.settings.name, "ready": ready}, 200 if ready else 503)

    async def server(self, request: Request) -> Answer:
        """GET /v2: who we are."""
        request.query()
        return json_answer({"name": "kopal", "version": version("kopal"), "extensions": ["binary_tensor_data"]})

    async def model(self, request: Request) -> Answer:
        """GET /v2/models/NAME: what goes in, what comes out."""
        request.query()
        shape = [-1, *self._service.classifier.geometry.shape]
        value = {
            "name": self._service.settings.name,
            "versions": [VERSION],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "pixels", "datatype": "UINT8", "shape": shape}],
            "outputs": [
                {"name": name, "datatype": datatype(values), "shape": [-1, *values.shape[1:]]}
                for name, values in self._empty.items()
            ],
        }
        return json_answer(value)

    async def infer(self, request: Request) -> Answer:
        """POST /v2/models/NAME/infer: pixels → the outputs that are asked for. Raises `Refusal` and `Gone`."""
        request.query()
        self._service.admit()
        async with self._bodies.reading(request.headers, request.receive) as body:
            request.trace.bytes = len(body)
            value, behind = read_request(body, request.headers)
            wanted = wanted_outputs(value, tuple(self._empty))
            pixels = read_pixels(value, behind, self._service.classifier.geometry.shape)
            request.trace.photos = len(pixels)
            outputs = await self._run(pixels, request)
        answer: dict[str, Any] = {"model_name": self._service.settings.name, "model_version": VERSION}
        if isinstance(value.get("id"), str):
            answer["id"] = value["id"][:256]
        return write_answer(answer, outputs, wanted)

    async def _run(self, pixels: NDArray[np.uint8], request: Request) -> dict[str, NDArray[Any]]:
        most = min(self._service.settings.max_photos, self._service.settings.queue)
        if len(pixels) > most:
            raise Refusal(413, f"more than {most} images in one request")
        if not len(pixels):
            return self._empty
        # Cut small, so that others get their turn and several lanes share the work.
        size = min(BATCH, images_per_run(self._service.classifier.geometry))
        jobs = [Batch(pixels[at : at + size]) for at in range(0, len(pixels), size)]
        parts = await self._service.answered(jobs, request.receive)
        for part in parts:
            if isinstance(part, PixelsError):
                raise Refusal(400, part.happened)
            if isinstance(part, Exception):
                raise part
        return {name: np.concatenate([part[name] for part in parts]) for name in self._empty}
