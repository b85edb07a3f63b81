"""What the client is told about its limits."""

import math

import httpx2
from fastapi import APIRouter

from interfaces.http.limiter import limiter
from tests.api.rates.limited_app import CountingStore, passed


async def test_headers_tell_the_tightest_rate_and_all_rates(
    router: APIRouter, client: httpx2.AsyncClient, store: CountingStore
) -> None:
    @router.get("/limited")
    @limiter.budget("login")
    async def limited() -> None: ...

    def told(answer: httpx2.Response) -> dict[str, str]:
        return {name: value for name, value in answer.headers.items() if "rate" in name or "retry" in name}

    policy = '"login-3-per-60s";q=3;w=60, "login-5-per-3600s";q=5;w=3600'
    assert told(await client.get("/limited")) == {
        "x-ratelimit-limit": "3",
        "x-ratelimit-remaining": "2",
        "x-ratelimit-reset": "60",
        "ratelimit-policy": policy,
        "ratelimit": '"login-3-per-60s";r=2;t=60, "login-5-per-3600s";r=4;t=3600',
    }
    store.now = 59.5
    assert await passed(client, "/limited") == 2
    assert told(await client.get("/limited")) == {
        "x-ratelimit-limit": "3",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "1",
        "ratelimit-policy": policy,
        "ratelimit": '"login-3-per-60s";r=0;t=1, "login-5-per-3600s";r=2;t=3541',
        "retry-after": "1",
    }
    store.now = 60
    assert await passed(client, "/limited") == 2
    answer = await client.get("/limited")
    assert answer.text == "Rate limit exceeded: 5 per 1 hour"
    assert told(answer) == {
        "x-ratelimit-limit": "5",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "3540",
        "ratelimit-policy": policy,
        "ratelimit": '"login-3-per-60s";r=1;t=60, "login-5-per-3600s";r=0;t=3540',
        "retry-after": "3540",
    }


async def test_of_two_full_rates_the_last_to_end_is_told(
    router: APIRouter, client: httpx2.AsyncClient, store: CountingStore
) -> None:
    @router.get("/limited")
    @limiter.limit("2/second;2/minute")
    async def limited() -> None: ...

    assert await passed(client, "/limited") == 2
    answer = await client.get("/limited")
    assert (answer.text, answer.headers["retry-after"]) == ("Rate limit exceeded: 2 per 1 minute", "60")
    store.now = math.nextafter(60, 0)
    assert (await client.get("/limited")).headers["retry-after"] == "1"
    store.now = 60
    assert (await client.get("/limited")).status_code == 200


async def test_a_single_rate_is_named_after_its_budget(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/plain")
    async def plain() -> None: ...

    @router.get("/limited")
    @limiter.shared_limit("2/minute", scope='q"uoted\n')
    async def limited() -> None: ...

    names = [(await client.get(path)).headers["ratelimit-policy"] for path in ("/plain", "/limited")]
    assert names == ['"default";q=4;w=3600', '"q-uoted-";q=2;w=60']


async def test_a_rate_without_room_for_the_cost_is_the_tightest(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/limited")
    @limiter.shared_limit("2/hour", scope="cheap")
    @limiter.limit("10/minute", cost=6)
    async def limited() -> None: ...

    first, second = [await client.get("/limited") for _ in range(2)]
    assert [first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]] == ["2", "1"]
    assert second.text == "Rate limit exceeded: 10 per 1 minute"
    assert [second.headers["x-ratelimit-limit"], second.headers["x-ratelimit-remaining"]] == ["10", "4"]
