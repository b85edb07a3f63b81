"""Which budgets the decorators give a route, and by which key."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request
from slowapi.util import get_remote_address

from interfaces.http.limiter import Limiter, limiter
from tests.api.rates.limited_app import CountingStore, client_of, passed


async def test_code_written_for_slowapi_works_as_it_stands(router: APIRouter, client: httpx2.AsyncClient) -> None:
    written_for_slowapi = Limiter(key_func=get_remote_address)

    @router.get("/limited")
    @written_for_slowapi.limit("5/minute")
    async def limited(request: Request) -> dict[str, str]:
        return {"path": request.url.path}

    assert (await client.get("/limited")).json() == {"path": "/limited"}
    assert await passed(client, "/limited") == 4


async def test_a_limited_function_is_not_wrapped_and_may_be_sync(router: APIRouter, client: httpx2.AsyncClient) -> None:
    def limited() -> None: ...

    assert limiter.limit("2/minute")(limited) is limited
    assert limiter.exempt(limited) is limited

    @router.get("/limited")
    @limiter.limit("2/minute")
    def sync() -> None: ...

    assert await passed(client, "/limited") == 2


async def test_many_rates_and_many_decorators_are_one_call_to_the_store(
    router: APIRouter, client: httpx2.AsyncClient, store: CountingStore
) -> None:
    @router.get("/limited")
    @limiter.limit("5/minute;100/hour")
    @limiter.shared_limit("3/second", scope="group")
    @limiter.budget("task-create")
    async def limited() -> None: ...

    await client.get("/limited")
    ((*rates,),) = store.asked
    own = f"ip_192.0.2.1/{__name__}.{limited.__qualname__}"
    assert {(rate.bucket, rate.amount, rate.seconds) for rate in rates} == {
        (own, 5, 60),
        (own, 100, 3600),
        ("ip_192.0.2.1/group", 3, 1),
        ("ip_192.0.2.1/task-create", 3, 3600),
    }
    assert await passed(client, "/limited") == 2


async def test_the_order_of_decorators_is_free(router: APIRouter, client: httpx2.AsyncClient) -> None:
    def another(function: Callable[[], Coroutine[Any, Any, int]]) -> Callable[[], Coroutine[Any, Any, int]]:
        @wraps(function)
        async def wrapper() -> int:
            return await function() + 1

        return wrapper

    @router.get("/below")
    @another
    @limiter.limit("2/minute")
    async def below() -> int:
        return 1

    @router.get("/above")
    @limiter.limit("3/minute")
    @another
    async def above() -> int:
        return 1

    assert (await client.get("/below")).json() == (await client.get("/above")).json() == 2
    assert [await passed(client, "/below"), await passed(client, "/above")] == [1, 2]


async def test_ids_have_no_buckets_of_their_own(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/items/{item_id}")
    @limiter.limit("3/minute")
    async def item(item_id: int) -> None: ...

    statuses = [(await client.get(f"/items/{item_id}")).status_code for item_id in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


async def test_a_shared_limit_is_one_budget(router: APIRouter, client: httpx2.AsyncClient) -> None:
    shared = limiter.shared_limit("3/minute", scope=lambda name: name.rpartition(".")[0])

    @router.get("/one")
    @shared
    async def one() -> None: ...

    @router.get("/two")
    @shared
    async def two() -> None: ...

    assert [(await client.get(path)).status_code for path in ("/one", "/two", "/one", "/two")] == [200, 200, 200, 429]


async def test_a_budget_is_shared_by_its_routes_whatever_the_id(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.post("/tasks")
    @limiter.budget("task-create")
    async def create() -> None: ...

    @router.post("/tasks/{task_id}/copy")
    @limiter.budget("task-create")
    async def copy(task_id: int) -> None: ...

    paths = ["/tasks", "/tasks/1/copy", "/tasks/2/copy", "/tasks/3/copy", "/tasks"]
    assert [(await client.post(path)).status_code for path in paths] == [200, 200, 200, 429, 429]


async def test_routes_without_a_decorator_share_the_default(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/plain/{number}")
    async def plain(number: int) -> None: ...

    @router.get("/other")
    async def other() -> None: ...

    @router.get("/limited")
    @limiter.limit("1/minute")
    async def limited() -> None: ...

    paths = ["/limited", "/plain/1", "/plain/2", "/other", "/plain/3", "/other", "/plain/4"]
    assert [(await client.get(path)).status_code for path in paths] == [200] * 5 + [429, 429]


async def test_a_limit_can_come_on_top_of_the_default(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/limited")
    @limiter.limit("10/minute", override_defaults=False)
    async def limited() -> None: ...

    assert await passed(client, "/limited") == 4


async def test_a_limit_can_depend_on_the_moment_and_on_the_key(router: APIRouter, client: httpx2.AsyncClient) -> None:
    amount = 2

    def plan(request: Request) -> str:
        return request.headers.get("x-plan", "free")

    @router.get("/moment")
    @limiter.limit(lambda: f"{amount}/minute")
    async def moment() -> None: ...

    @router.get("/key")
    @limiter.limit(lambda key: "5/minute" if key == "paid" else "1/minute", key_func=plan)
    async def key() -> None: ...

    assert await passed(client, "/moment") == 2
    amount = 3
    assert await passed(client, "/moment") == 3
    assert [await passed(client, "/key"), await passed(client, "/key", headers={"x-plan": "paid"})] == [1, 5]


async def test_a_key_function_may_take_no_request(router: APIRouter, client: httpx2.AsyncClient, app: FastAPI) -> None:
    @router.get("/limited")
    @limiter.limit(lambda key: "2/minute" if key == "everybody" else "1/minute", key_func=lambda: "everybody")
    async def limited() -> None: ...

    async with client_of(app, address="192.0.2.2") as another:
        assert [await passed(client, "/limited"), await passed(another, "/limited")] == [2, 0]


@pytest.mark.parametrize("key", ["", None])
async def test_an_empty_key_is_not_without_limit(
    router: APIRouter, client: httpx2.AsyncClient, store: CountingStore, key: Any
) -> None:
    @router.get("/limited")
    @limiter.limit("2/minute", key_func=lambda: key)
    async def limited() -> None: ...

    assert await passed(client, "/limited") == 2
    assert store.asked[0][0].bucket.startswith("ip_192.0.2.1/")


async def test_a_key_of_the_clients_choosing_is_short_and_has_no_slash(
    router: APIRouter, client: httpx2.AsyncClient, store: CountingStore
) -> None:
    @router.get("/limited")
    @limiter.limit("2/minute", key_func=lambda request: request.headers["x-key"])
    async def limited() -> None: ...

    for key in ("plain", "a/b", "x" * 10_000):
        await client.get("/limited", headers={"x-key": key})
    whose = [rates[0].bucket.split("/")[0] for rates in store.asked]
    assert whose[0] == "plain"
    assert [len(key) for key in whose[1:]] == [64, 64]
    assert all(rates[0].bucket.count("/") == 1 for rates in store.asked)
