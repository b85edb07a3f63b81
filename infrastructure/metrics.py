"""What the adapters count for operators. Counters and histograms only: they add up over the processes of a service."""

import structlog
from prometheus_client import Counter, Histogram

CACHE_REQUESTS = Counter("cache_requests_total", "Look-ups in the cache, by what came of them.", ["result"])
# `kind` and not `job`, which is Prometheus' own name for what it asks.
JOB_ATTEMPTS = Counter("job_attempts_total", "Times that a job was begun.", ["kind"])
JOB_FAILURES = Counter("job_failures_total", "Times that a job failed.", ["kind"])
JOB_SECONDS = Histogram("job_duration_seconds", "Time from begin to end of an attempt, failed ones too.", ["kind"])

log = structlog.get_logger()


def count_cache_request(key: str, *, hit: bool) -> None:
    result = "hit" if hit else "miss"
    CACHE_REQUESTS.labels(result).inc()
    log.debug(f"cache_{result}", key=key)
