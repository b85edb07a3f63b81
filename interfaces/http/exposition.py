"""What Prometheus is shown: all that the processes of this host count, and the jobs as they are stored now."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from application.jobs import JobDepth


def exposition(depths: Sequence[JobDepth], now: datetime) -> bytes:
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # the process that started several set up a folder for them
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus-client has no types here
    else:
        registry.register(REGISTRY)
    registry.register(_Jobs(depths, now))
    return generate_latest(registry)


class _Jobs(Collector):
    """Not gauges of a process: every process would show the same, and those that ended what was."""

    def __init__(self, depths: Sequence[JobDepth], now: datetime) -> None:
        self._depths = depths
        self._now = now

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        count = GaugeMetricFamily("jobs", "Jobs that are stored.", labels=["kind", "state"])
        age = GaugeMetricFamily(
            "jobs_oldest_age_seconds", "How long the oldest of these jobs has been due.", labels=["kind", "state"]
        )
        for depth in self._depths:
            count.add_metric([depth.name, depth.state], depth.count)
            age.add_metric([depth.name, depth.state], max(0.0, (self._now - depth.oldest).total_seconds()))
        yield from (count, age)
