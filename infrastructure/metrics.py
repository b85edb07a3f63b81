"""What the adapters count for operators. Plain counters: they add up over the processes of a service."""

import structlog
from prometheus_client import Counter

CACHE_REQUESTS = Counter("cache_requests_total", "Look-ups in the cache, by what came of them.", ["result"])

log = structlog.get_logger()


def count_cache_request(key: str, *, hit: bool) -> None:
    result = "hit" if hit else "miss"
    CACHE_REQUESTS.labels(result).inc()
    log.debug(f"cache_{result}", key=key)
