"""Which requests share an answer, and what its headers say about it."""

import hashlib
from datetime import timedelta
from itertools import count
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, Request

from interfaces.http.caching import cache
from interfaces.http.deps import Actor
from tests.api.caching.conftest import Time


async def test_the_second_answer_is_the_first(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count()

    @router.get("/number")
    @cache(expire=30)
    async def get_number() -> dict[str, int]:
        return {"number": next(numbers)}

    first, second = await client.get("/number"), await client.get("/number")
    assert (first.json(), first.headers["x-cache"]) == ({"number": 0}, "MISS")
    assert (second.content, second.headers["x-cache"]) == (first.content, "HIT")
    assert second.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert second.headers["cache-control"] == "public, max-age=30"
    assert second.headers["etag"] == first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'


async def test_age_and_what_is_left_of_it(router: APIRouter, client: httpx2.AsyncClient, time: Time) -> None:
    @router.get("/number")
    @cache(expire=30)
    async def get_number() -> int:
        return 1

    ages = []
    for seconds in (0, 12, 100):
        time.now += timedelta(seconds=seconds)
        answer = await client.get("/number")
        ages.append((answer.headers["age"], answer.headers["cache-control"]))
    assert ages == [("0", "public, max-age=30"), ("12", "public, max-age=18"), ("112", "public, max-age=0")]


@pytest.mark.parametrize("match", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
async def test_who_has_it_gets_304(router: APIRouter, client: httpx2.AsyncClient, match: str) -> None:
    @router.get("/number")
    @cache(expire=30)
    async def get_number() -> int:
        return 1

    etag = (await client.get("/number")).headers["etag"]
    again = await client.get("/number", headers={"If-None-Match": match.format(etag=etag)})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert again.headers["x-cache"] == "HIT"
    assert "content-type" not in again.headers
    other = await client.get("/number", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, b"1")


async def test_path_and_query_tell_answers_apart(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count()

    @router.get("/of/{name}")
    @cache(expire=30)
    async def get_of(name: str, a: str = "", b: str = "") -> int:
        return next(numbers)

    @router.get("/of/{name}/more")
    @cache(expire=30)
    async def get_more(name: str) -> int:
        return next(numbers)

    paths = ["/of/x", "/of/y", "/of/x?a=1&b=2", "/of/x?b=2&a=1", "/of/x?a=2&b=1", "/of/x%3Fa=1&b=2", "/of/x/more"]
    assert [(await client.get(path)).json() for path in paths] == [0, 1, 2, 2, 3, 4, 5]


async def test_each_user_has_an_answer_where_the_route_needs_one(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/me")
    @cache(expire=30)
    async def get_me(actor: Actor) -> int:
        return actor

    async def through_another(actor: Actor) -> int:
        return actor

    @router.get("/deep")
    @cache(expire=30)
    async def get_deep(user: Annotated[int, Depends(through_another)]) -> int:
        return user

    @router.get("/request")
    @cache(expire=30)
    async def get_request(request: Request) -> int | None:
        user: int | None = request.state.actor
        return user

    for path in ("/me", "/deep", "/request"):
        answers = [await client.get(path, headers={"X-User": user}) for user in "7878"]
        assert [answer.json() for answer in answers] == [7, 8, 7, 8]
        assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "MISS", "HIT", "HIT"]
        assert {answer.headers["cache-control"] for answer in answers} == {"private, max-age=30"}
    assert (await client.get("/request")).json() is None


async def test_a_route_that_needs_no_user_shares_its_answer(router: APIRouter, client: httpx2.AsyncClient) -> None:
    numbers = count()

    @router.get("/number")
    @cache(expire=30)
    async def get_number() -> int:
        return next(numbers)

    assert [(await client.get("/number", headers={"X-User": user})).json() for user in "78"] == [0, 0]
