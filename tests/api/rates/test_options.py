"""The options of slowapi's decorators."""

import httpx2
import pytest
from fastapi import APIRouter, Request

from interfaces.http.limiter import limiter
from tests.api.rates.limited_app import CountingStore, passed


async def test_costs(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/fixed")
    @limiter.limit("10/minute", cost=4)
    async def fixed() -> None: ...

    @router.get("/asked")
    @limiter.limit("10/minute", cost=lambda request: int(request.query_params["cost"]))
    async def asked() -> None: ...

    assert await passed(client, "/fixed") == 2
    answers = [await client.get(f"/asked?cost={cost}") for cost in (6, 6, 4, 1)]
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "4", "0", "0"]


async def test_methods_can_have_budgets_of_their_own(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.api_route("/each", methods=["GET", "POST"])
    @limiter.limit("2/minute", per_method=True)
    async def each() -> None: ...

    @router.api_route("/both", methods=["GET", "POST"])
    @limiter.limit("2/minute")
    async def both() -> None: ...

    assert [await passed(client, "/each"), await passed(client, "/each", method="POST")] == [2, 2]
    assert [await passed(client, "/both"), await passed(client, "/both", method="POST")] == [2, 0]


async def test_a_limit_for_some_methods_leaves_the_default_to_others(
    router: APIRouter, client: httpx2.AsyncClient
) -> None:
    @router.api_route("/limited", methods=["GET", "POST"])
    @limiter.limit("1/minute", methods=["POST"])
    async def limited() -> None: ...

    assert [await passed(client, "/limited", method="POST"), await passed(client, "/limited")] == [1, 4]


async def test_exemptions(router: APIRouter, client: httpx2.AsyncClient, store: CountingStore) -> None:
    @router.get("/never")
    @limiter.exempt
    async def never() -> None: ...

    @router.get("/sometimes")
    @limiter.limit("1/minute", exempt_when=lambda request: "x-staff" in request.headers)
    async def sometimes() -> None: ...

    @router.get("/not-now")
    @limiter.limit("1/minute", exempt_when=lambda: True)
    async def not_now() -> None: ...

    assert await passed(client, "/never") == 20
    assert await passed(client, "/not-now") == 20
    assert await passed(client, "/sometimes", headers={"x-staff": "yes"}) == 20
    assert store.asked == []
    assert await passed(client, "/sometimes") == 1


async def test_messages(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/plain")
    @limiter.limit("0/minute")
    async def plain() -> None: ...

    @router.get("/text")
    @limiter.limit("0/minute", error_message="slow down")
    async def text() -> None: ...

    @router.get("/function")
    @limiter.limit("0/minute", error_message=lambda: "later")
    async def function() -> None: ...

    answers = [(await client.get(path)).text for path in ("/plain", "/text", "/function")]
    assert answers == [f"Rate limit exceeded: {what}" for what in ("0 per 1 minute", "slow down", "later")]


def test_what_would_be_no_limit_is_refused_at_once() -> None:
    async def endpoint() -> None: ...

    async def key(request: Request) -> str:
        return "key"

    with pytest.raises(ValueError, match="couldn't parse"):
        limiter.limit("often")(endpoint)
    with pytest.raises(TypeError):
        limiter.limit("1/minute", key_func=key)(endpoint)  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(TypeError):
        limiter.limit("1/minute", exempt_when=key)(endpoint)  # type: ignore[arg-type]  # likewise
