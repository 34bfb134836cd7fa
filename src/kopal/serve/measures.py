"""What a server tells Prometheus at /metrics: counts and times, nothing of what is on photos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from kopal.serve.exchange import Answer, Request
from kopal.serve.service import Service

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@final
class Measures:
    """The counters of one server, in a registry of its own."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("kopal_requests", "Requests answered.", ("route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "kopal_request_seconds",
            "From the headers to the answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Service(service))

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request has been answered. A route is one of the table's, so the number of rows is bounded."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    async def __call__(self, request: Request) -> Answer:
        """GET /metrics."""
        request.query()
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)


class _Service(Collector):
    """Read from the service when it is asked, so that counting costs nothing on the way."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service, lanes = self._service, self._service.lanes
        yield GaugeMetricFamily("kopal_ready", "1 where work may be sent here.", float(service.ready))
        yield GaugeMetricFamily("kopal_waiting", "Photos that wait in line.", len(service.line))
        yield GaugeMetricFamily("kopal_places", "Places in the line.", service.line.places)
        yield CounterMetricFamily("kopal_photos", "Images that the net has answered.", lanes.photos)
        yield CounterMetricFamily("kopal_batches", "Runs of the net.", lanes.batches)
        yield CounterMetricFamily("kopal_maps", "Answers that were explained by a map.", lanes.maps)
        yield CounterMetricFamily("kopal_decoder_deaths", "Decoders that did not survive a photo.", lanes.deaths)
        model = GaugeMetricFamily("kopal_model", "The model that answers.", labels=("name", "digest"))
        model.add_metric((service.settings.name, service.digest), 1)
        yield model
