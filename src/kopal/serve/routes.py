"""Every path that is answered, with its method and what answers it, in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kopal.serve.body import Bodies
from kopal.serve.exchange import Answer, Refusal, Request
from kopal.serve.inference import VERSION, Inference
from kopal.serve.measures import Measures
from kopal.serve.pages import OpenApi, pages
from kopal.serve.predict import Predict
from kopal.serve.service import Service
from kopal.serve.why import Explain

Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """What answers, to which method, and whether anybody may ask: health and the empty page hold nothing to guard."""

    handler: Handler
    method: str = "GET"
    open: bool = False

    @property
    def allowed(self) -> str:
        """The methods, as the header Allow lists them."""
        return "GET, HEAD" if self.method == "GET" else self.method


def routes(service: Service, measures: Measures) -> Mapping[str, Route]:
    """Path → route. A path is answered as it is written here or not at all: nothing of it is a name of a file."""
    bodies = Bodies(service.settings.all_bodies, service.settings.max_body)
    inference = Inference(service, bodies)
    table = {
        "/v1/predict": Route(Predict(service, bodies), "POST"),
        "/v1/explain": Route(Explain(service, bodies), "POST"),
        "/metrics": Route(measures),
        "/openapi.json": Route(OpenApi(service)),
        "/v2": Route(inference.server),
        "/v2/health/live": Route(inference.live, open=True),
        "/v2/health/ready": Route(inference.ready, open=True),
    }
    for path, page in pages().items():
        table[path] = Route(page, open=True)
    model = f"/v2/models/{service.settings.name}"
    for path in (model, f"{model}/versions/{VERSION}"):
        table[path] = Route(inference.model)
        table[f"{path}/ready"] = Route(inference.ready, open=True)
        table[f"{path}/infer"] = Route(inference.infer, "POST")
    return table


def find(table: Mapping[str, Route], method: str, path: str) -> Route:
    """The route of a request. Raises `Refusal` 404 or 405."""
    route = table.get(path)
    if route is None:
        raise Refusal(404, "there is nothing here; /docs lists what there is")
    if method != route.method and not (method == "HEAD" and route.method == "GET"):
        raise Refusal(405, f"this path answers {route.allowed}", ("Allow", route.allowed))
    return route
