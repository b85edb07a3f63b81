"""What is kept of an answer, and what is never kept."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from interfaces.http.caching import cache


class Thing(BaseModel):
    name: str = Field(serialization_alias="theName")
    secret: str = ""
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


async def test_a_result_is_written_as_without_a_cache(router: APIRouter, client: httpx2.AsyncClient) -> None:
    async def model() -> Thing:
        return Thing(name="ä")

    async def listed() -> Any:
        return [{"name": "ä", "secret": "s", "extra": 1}]

    async def untyped():  # type: ignore[no-untyped-def]  # noqa: ANN202, as in a tutorial
        return {"at": datetime(2026, 1, 2, tzinfo=UTC), "name": "ä"}

    async def html() -> str:
        return "<p>ä"

    async def ready() -> Response:
        return Response("ä", media_type="text/plain")

    routes: list[tuple[Callable[[], Coroutine[Any, Any, Any]], dict[str, Any]]] = [
        (model, {}),
        (model, {"response_model_exclude": {"secret"}, "response_model_by_alias": False}),
        (listed, {"response_model": list[Thing], "response_model_exclude_defaults": True}),
        (untyped, {}),
        (html, {"response_class": HTMLResponse}),
        (ready, {}),
    ]
    for number, (endpoint, options) in enumerate(routes):
        router.get(f"/plain/{number}", **options)(endpoint)
        router.get(f"/cached/{number}", **options)(cache(expire=30)(endpoint))
        plain = await client.get(f"/plain/{number}")
        for outcome in ("MISS", "HIT"):
            cached = await client.get(f"/cached/{number}")
            assert (cached.content, cached.headers["content-type"]) == (plain.content, plain.headers["content-type"])
            assert cached.headers["x-cache"] == outcome


async def test_the_schema_is_the_same_as_without(router: APIRouter) -> None:
    async def endpoint(number: int, q: str = "") -> Thing:
        raise NotImplementedError

    router.get("/of/{number}", operation_id="it")(endpoint)
    cached = APIRouter(prefix="/v1")
    cached.get("/of/{number}", operation_id="it")(cache(expire=30)(endpoint))
    schemas = []
    for one in (router, cached):
        app = FastAPI()
        app.include_router(one)
        schemas.append(app.openapi())
    assert schemas[0] == schemas[1]


async def test_only_a_plain_200_is_kept(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count()

    async def body() -> AsyncIterator[bytes]:
        yield str(next(numbers)).encode()

    answers: dict[str, Callable[[], Response]] = {
        "created": lambda: Response(str(next(numbers)), 201, media_type="text/plain"),
        "stream": lambda: StreamingResponse(body(), media_type="text/plain"),
        "cookie": lambda: Response(str(next(numbers)), headers={"Set-Cookie": "a=b"}, media_type="text/plain"),
    }

    @router.get("/answer/{name}")
    @cache(expire=30)
    async def get_answer(name: str) -> Response:
        return answers[name]()

    for name in answers:
        one, two = await client.get(f"/answer/{name}"), await client.get(f"/answer/{name}")
        assert int(two.text) == int(one.text) + 1
        assert "x-cache" not in two.headers
        assert two.headers.get("set-cookie") == ("a=b" if name == "cookie" else None)


async def test_what_is_not_kept_is_not_shared_either(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers, go = count(), asyncio.Event()

    @router.get("/created")
    @cache(expire=30)
    async def get_created() -> Response:
        await go.wait()
        return Response(str(next(numbers)), 201, media_type="text/plain")

    asking = [asyncio.create_task(client.get("/created")) for _ in range(10)]
    asyncio.get_running_loop().call_later(0.05, go.set)  # when all of them wait
    assert sorted(int(answer.text) for answer in await asyncio.gather(*asking)) == list(range(10))


async def test_background_work_of_a_response_is_not_lost(router: APIRouter, client: httpx2.AsyncClient) -> None:
    done: list[str] = []

    @router.get("/work")
    @cache(expire=30)
    async def get_work() -> Response:
        return Response("1", media_type="text/plain", background=BackgroundTask(done.append, "done"))

    for _ in range(2):
        await client.get("/work")
    assert done == ["done", "done"]


async def test_an_error_is_not_kept(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count(1)

    @router.get("/sometimes")
    @cache(expire=30)
    async def get_sometimes() -> int:
        if (number := next(numbers)) == 1:
            raise HTTPException(404)
        return number

    assert [(await client.get("/sometimes")).status_code for _ in range(2)] == [404, 200]


async def test_all_who_ask_at_once_share_one_call(router: APIRouter, client: httpx2.AsyncClient) -> None:
    calls, go = count(), asyncio.Event()

    @router.get("/slow")
    @cache(expire=30)
    async def get_slow() -> int:
        await go.wait()
        return next(calls)

    asking = [asyncio.create_task(client.get("/slow")) for _ in range(50)]
    await asyncio.sleep(0)
    go.set()
    assert {answer.text for answer in await asyncio.gather(*asking)} == {"0"}


async def test_background_work_runs_when_the_route_does(router: APIRouter, client: httpx2.AsyncClient) -> None:
    done: list[str] = []

    @router.get("/work")
    @cache(expire=30)
    async def get_work(background: BackgroundTasks) -> int:
        background.add_task(done.append, "done")
        return 1

    assert [(await client.get("/work")).text for _ in range(2)] == ["1", "1"]
    assert done == ["done"]


async def test_another_method_is_not_cached(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count()

    @router.post("/number")
    @cache(expire=30)
    async def post_number() -> int:
        return next(numbers)

    assert [(await client.post("/number")).json() for _ in range(2)] == [0, 1]


async def test_a_function_whose_answer_would_lose_something_is_refused() -> None:
    async def sets_headers(response: Response) -> None: ...

    def synchronous() -> None: ...

    with pytest.raises(TypeError, match="async function"):
        cache(expire=30)(sets_headers)
    with pytest.raises(TypeError, match="async function"):
        cache(expire=30)(synchronous)  # type: ignore[type-var]  # that is the mistake
