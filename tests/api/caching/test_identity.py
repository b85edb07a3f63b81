"""An answer is never shared where it would get lost who asked: such routes are refused when the app starts."""

from collections.abc import Callable
from itertools import count
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection

from application.tasks import ListTasks
from interfaces.http.caching import cache
from interfaces.http.deps import Actor, Use, current_user
from interfaces.http.identity import check_identities
from interfaces.http.routing import Route

ASKED = [Depends(current_user)]


def app_of(endpoint: Callable[..., Any], included: Any = None, **options: Any) -> FastAPI:
    router = APIRouter(**{"route_class": Route, **options})
    router.get("/thing")(endpoint)
    app = FastAPI()
    app.include_router(router, prefix="/v1", dependencies=included)
    return app


@cache(expire=30)
async def shared() -> int:
    return 1


@cache(expire=30)
async def personal(actor: Actor) -> int:
    return actor


@cache(expire=30)
async def by_header(accept_language: Annotated[str, Header()], x: Annotated[str, Cookie()]) -> str:
    return accept_language + x


@cache(expire=30)
async def by_key(key: Annotated[str, Depends(APIKeyHeader(name="x-key"))]) -> str:
    return key


async def uncached() -> int:
    return 1


async def sets_a_header(response: Response) -> None:
    response.headers["X-Mine"] = "1"


SETS = [Depends(sets_a_header)]


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        (app_of(shared, included=ASKED), "GET /v1/thing: the user is asked for where the router is included"),
        (app_of(uncached, included=ASKED), "the user is asked for where the router is included"),
        (app_of(personal, route_class=Route.__base__), "give the router route_class=Route"),
        (app_of(by_key), "behind a security scheme of its own"),
        (app_of(shared, included=[Depends(HTTPBearer())]), "behind a security scheme of its own"),
        (app_of(by_header), "accept-language, x would be ignored"),
        (app_of(shared, dependencies=SETS), "what a dependency says by its Response would be lost"),
        (app_of(shared, included=SETS), "what a dependency says by its Response would be lost"),
    ],
)
def test_refused_at_the_start(app: FastAPI, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        check_identities(app)


@pytest.mark.parametrize(
    "app",
    [
        app_of(shared),
        app_of(personal),
        app_of(personal, included=ASKED),
        app_of(shared, dependencies=ASKED),
        app_of(uncached, route_class=Route.__base__),
        app_of(uncached, dependencies=SETS),
    ],
)
def test_accepted(app: FastAPI) -> None:
    check_identities(app)


async def test_a_dependency_that_takes_the_request_makes_an_answer_personal(
    router: APIRouter, client: httpx2.AsyncClient
) -> None:
    async def by_request(request: Request) -> int:
        user: int = request.state.actor
        return user

    async def by_connection(connection: HTTPConnection) -> int:
        user: int = connection.state.actor
        return user

    for number, call in enumerate((by_request, by_connection)):

        @router.get(f"/mine/{number}")
        @cache(expire=30)
        async def get_mine(user: Annotated[int, Depends(call)]) -> int:
            return user

        answers = [await client.get(f"/mine/{number}", headers={"X-User": user}) for user in "7878"]
        assert [answer.json() for answer in answers] == [7, 8, 7, 8]
        assert {answer.headers["cache-control"] for answer in answers} == {"private, max-age=30"}


async def test_a_use_case_does_not(router: APIRouter, client: httpx2.AsyncClient, app: FastAPI) -> None:
    app.state.use_cases = {ListTasks: None}
    numbers = count()

    @router.get("/number")
    @cache(expire=30)
    async def get_number(_: Use[ListTasks]) -> int:
        return next(numbers)

    assert [(await client.get("/number", headers={"X-User": user})).json() for user in "78"] == [0, 0]
