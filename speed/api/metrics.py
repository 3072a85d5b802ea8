"""What Prometheus scrapes: counts and latencies over all workers, and what this worker answers from."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from speed.live import Live

SHARED_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""Folder through which workers share their counts; the parent makes it before any of them imports the client."""
STARTED = "FORMCAST_API_STARTED"
"""Seconds since 1970 when the parent started: a worker that took the place of a dead one counts on from there."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REQUESTS, _LATENCY = "formcast_requests", "formcast_request_seconds"


class Traffic(NamedTuple):
    """Since the start, over all workers. quantiles: seconds by share, None before the first request."""

    requests: int
    errors: int
    quantiles: dict[float, float | None]


class Metrics:
    """Counts of this process. Children of labels are kept: finding one costs more than counting with it."""

    def __init__(self, live: Live) -> None:
        own = CollectorRegistry()
        requests = Counter(_REQUESTS, "Requests answered.", ["route", "status"], registry=own)
        latency = Histogram(_LATENCY, "Time to answer.", ["route"], registry=own, buckets=_BUCKETS)
        lookups = Counter("formcast_store_lookups", "Forms looked up, by origin or miss.", ["origin"], registry=own)
        self.unexpected = Counter("formcast_unexpected_errors", "Requests that ended in a bug.", registry=own)
        self.hits = {origin: lookups.labels(origin) for origin in ("batch", "stream", "miss")}
        self._requests, self._latency = requests, latency
        self._counters: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        if SHARED_DIR in os.environ:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)
        else:
            self._registry = own
        self.since = float(os.environ.get(STARTED) or time.time())
        self._live_registry = CollectorRegistry()
        self._live_registry.register(_LiveCollector(live))

    def answered(self, route: str, status: int, seconds: float) -> None:
        children = self._counters.get((route, status))
        if children is None:
            children = self._requests.labels(route, str(status)), self._latency.labels(route)
            self._counters[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def exposition(self) -> bytes:
        return generate_latest(self._registry) + generate_latest(self._live_registry)

    def traffic(self) -> Traffic:
        requests = errors = 0
        buckets: dict[float, float] = {}
        for metric in self._registry.collect():
            for sample in metric.samples:
                if sample.name == f"{_REQUESTS}_total":
                    requests += int(sample.value)
                    errors += int(sample.value) if sample.labels["status"] >= "500" else 0
                elif sample.name == f"{_LATENCY}_bucket":
                    limit = float(sample.labels["le"])
                    buckets[limit] = buckets.get(limit, 0) + sample.value
        return Traffic(requests, errors, {share: _quantile(buckets, share) for share in (0.5, 0.95, 0.99)})


class _LiveCollector(Collector):
    """Read when asked for: gauges of processes that are gone do not linger."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        generation, refused = self._live.generation, self._live.refused
        info = GaugeMetricFamily("formcast_generation_info", "What is live.", labels=["generation", "model_version"])
        if generation is not None:
            manifest = generation.manifest
            info.add_metric([manifest.generation, manifest.model_version], 1)
            age = time.time() - manifest.scored_at.timestamp()
            yield _gauge("formcast_generation_age_seconds", "Since the live generation was scored.", age)
            yield _gauge("formcast_generation_forms", "Forms in the live generation.", manifest.count)
        yield info
        yield _gauge("formcast_ready", "1 with a verified generation.", float(generation is not None))
        yield _gauge(
            "formcast_generation_refused",
            "1 where a newer one cannot be used.",
            float(bool(refused and refused.name)),
        )
        if (streamed := self._live.streamed()) is not None:
            yield _gauge("formcast_streamed_entries", "Streamed scores in the store.", streamed)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _quantile(buckets: dict[float, float], share: float) -> float | None:
    """Straight between the bounds of the bucket that it falls into, as Prometheus does."""
    limits: Iterable[float] = sorted(buckets)
    total = max(buckets.values(), default=0)
    below, lower = 0.0, 0.0
    for limit in limits:
        count = buckets[limit]
        if total and count >= share * total:
            if limit == float("inf"):
                return lower
            return lower + (limit - lower) * (share * total - below) / max(count - below, 1)
        below, lower = count, limit
    return None
