"""What every end-to-end test can use."""

import pytest
import redis


@pytest.fixture
def redis_url(redis_url: str) -> str:
    """Empty at the start of each test: what another one was limited to is nothing to this one."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    return redis_url
