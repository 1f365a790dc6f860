"""What Prometheus reads at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import ProcessCollector as Process

from .settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The service's own registry, so that two servers in one process (the tests) do not mix."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        Process(registry=self.registry)
        self._requests = Counter("http_requests", "Requests answered.", ["route", "code"], registry=self.registry)
        self._seconds = Histogram("http_request_duration_seconds", "Time to answer.", ["route"], registry=self.registry)
        self._conversions = Counter("conversions", "Conversions answered.", ["quantity"], registry=self.registry)
        build = settings.build
        Gauge(
            "build_info",
            "Always 1; what runs is in the labels.",
            ["name", "version", "source_sha256"],
            registry=self.registry,
        ).labels(build.name, build.version, build.source_sha256).set(1)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer; ``route`` is a known path or "other", so that labels stay few."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def converted(self, quantity: str) -> None:
        """Count one conversion of ``quantity``."""
        self._conversions.labels(quantity).inc()

    def render(self) -> bytes:
        """Return the text exposition format."""
        return generate_latest(self.registry)
