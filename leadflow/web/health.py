"""Whether the process lives, whether it can work, and what it counted. No authentication, no personal data."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from leadflow.store import reads
from leadflow.store.guard_check import missing_guards
from leadflow.store.migrate import revisions
from leadflow.store.outbox import count_unsent
from leadflow.web.auth import public
from leadflow.web.config import WebConfig

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

COUNTED_EVERY_SECONDS = 60.0


class InboxCollector(Collector):
    """Reads the inbox at every scrape; without the database `leadflow_database_up` is 0 and the rest is missing."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._all = 0
        self._counted_at = -math.inf

    def _count_all(self, connection: Connection) -> int:
        """All events, counted at most once a minute, for that reads the whole index."""
        now = time.monotonic()
        if now - self._counted_at > COUNTED_EVERY_SECONDS:
            self._all, self._counted_at = reads.count_events(connection), now
        return self._all

    def collect(self) -> Iterator[Metric]:
        try:
            with self._config.engine.connect() as connection:
                counts = reads.events_per_state(connection)
                oldest = reads.oldest_pending_at(connection)
                processed = self._count_all(connection) - sum(counts.values())
                unsent = count_unsent(connection)
        except SQLAlchemyError:
            yield GaugeMetricFamily("leadflow_database_up", "Whether the database answers", 0)
            return
        waiting = max((self._config.clock() - oldest).total_seconds(), 0.0) if oldest else 0.0
        yield GaugeMetricFamily("leadflow_database_up", "Whether the database answers", 1)
        yield GaugeMetricFamily("leadflow_events_pending", "Events that wait to be processed", counts["pending"])
        yield GaugeMetricFamily("leadflow_oldest_pending_seconds", "How long the oldest of them has waited", waiting)
        by_state = GaugeMetricFamily("leadflow_events", "Events in the inbox by state", labels=["state"])
        for state, count in sorted({**counts, "processed": max(processed, 0)}.items()):
            by_state.add_metric([state], count)
        yield by_state
        outbox = GaugeMetricFamily("leadflow_outbox", "Messages that are not sent, by state", labels=["state"])
        for state, count in sorted(unsent.items()):
            outbox.add_metric([state], count)
        yield outbox


def make_blueprint(app: Flask, config: WebConfig) -> Blueprint:
    """`/healthz`, `/readyz`, `/metrics`; `app` is told to count its requests."""
    blueprint = Blueprint("health", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(InboxCollector(config))
    _count_requests(app, registry)

    @blueprint.get("/healthz")
    @public("a load balancer asks whether the process lives")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    @public("a load balancer asks whether requests can be served")
    def readyz() -> tuple[Response, int]:
        parts = readiness(config)
        is_ready = all(parts[name] == "ok" for name in ("database", "schema", "guard"))
        return jsonify(status="ready" if is_ready else "not ready", **parts), 200 if is_ready else 503

    @blueprint.get("/metrics")
    @public("Prometheus reads it; it holds counts only")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def readiness(config: WebConfig) -> dict[str, str]:
    """Each part and "ok", or what is wrong. The broker is reported only: without it events still come in."""
    parts = {"database": "ok", "schema": "unknown", "guard": "unknown"}
    try:
        with config.engine.connect() as connection:
            present, newest = revisions(connection)
            parts["schema"] = "ok" if present == newest else f"at revision {present}, this version needs {newest}"
            missing = missing_guards(connection)
            parts["guard"] = f"missing or disabled: {', '.join(missing)}" if missing else "ok"
    except SQLAlchemyError:
        parts["database"] = "does not answer"
    return {**parts, "broker": config.broker_state()}


def _count_requests(app: Flask, registry: CollectorRegistry) -> None:
    # Each process of a web server counts for itself; a scrape reaches one of them.
    labels = ("process", "method", "route")
    requests = Counter("leadflow_http_requests", "Requests answered", (*labels, "status"), registry=registry)
    durations = Histogram(
        "leadflow_http_request_seconds", "Time to the answer", labels, registry=registry, buckets=SECONDS
    )

    def count(method: str, route: str, status: int, seconds: float | None) -> None:
        process = str(os.getpid())
        requests.labels(process, method, route, str(status)).inc()
        if seconds is not None:
            durations.labels(process, method, route).observe(seconds)

    @app.before_request
    def begin() -> None:
        g.begun_at = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        count(method, route, response.status_code, time.perf_counter() - g.begun_at if "begun_at" in g else None)
        return response

    app.extensions[COUNT] = count


# What is answered in front of Flask is counted by what stands here: (method, route, status, seconds).
COUNT = "leadflow.count_request"

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
