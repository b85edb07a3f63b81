"""`@cache(expire=30)`: the answer of a route, kept in the cache of the app for all processes."""

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial, wraps
from http import HTTPStatus
from operator import itemgetter
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute, serialize_response

from interfaces.http.deps import Use, current_user, parts
from interfaces.http.preconditions import not_modified

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])

MARK = "__cached__"
OURS = "request_of_cache"  # the parameter by which FastAPI gives us the request, if the endpoint has none
PLAIN = {"content-type", "content-length"}  # a stream has no length
OPTIONS = ("include", "exclude", "by_alias", "exclude_unset", "exclude_defaults", "exclude_none")


class _NotKept(Exception):
    """The answer is no plain 200: it goes to its own client only."""


def cache(*, expire: int) -> Callable[[Endpoint], Endpoint]:
    """Answer a GET from the cache for `expire` seconds. What isn't a 200, or has headers of its own, is never kept.

    All clients share an answer; but each user has one where the route needs a user, or where its function or one of its
    dependencies takes the request. What would be lost that way is refused at the start (`identity.py`).
    """

    def decorate(endpoint: Endpoint) -> Endpoint:
        signature = inspect.signature(endpoint, eval_str=True)
        kinds = {name: one.annotation for name, one in signature.parameters.items() if inspect.isclass(one.annotation)}
        if not inspect.iscoroutinefunction(endpoint) or any(issubclass(kind, Response) for kind in kinds.values()):
            raise TypeError("@cache needs an async function that returns its whole answer: no Response as a parameter")
        own = next((name for name, kind in kinds.items() if issubclass(kind, Request)), None)

        @wraps(endpoint)
        async def cached(**values: Any) -> Any:
            request = values[own] if own else values.pop(OURS)
            return await _answer(request, partial(endpoint, **values), expire)

        if own is None:
            ours = inspect.Parameter(OURS, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
            signature = signature.replace(parameters=[*signature.parameters.values(), ours])
        setattr(cached, MARK, True)
        cached.__signature__ = signature  # type: ignore[attr-defined]  # where inspect, and so FastAPI, looks first
        return cached  # type: ignore[return-value]  # to those who write routes it is the same function

    return decorate


def is_cached(endpoint: Callable[..., Any]) -> bool:
    return hasattr(endpoint, MARK)


def is_personal(route: APIRoute) -> bool:
    """Whether its answer may depend on who asks. The request tells that too; use cases come by it, and don't look."""
    return any(
        part.call is current_user
        or part.http_connection_param_name
        or (part.request_param_name not in {None, OURS} and getattr(part.call, "__module__", "") != Use.__module__)
        for part in parts(route.dependant)
    )


async def _answer(request: Request, endpoint: Callable[[], Awaitable[Any]], expire: int) -> Any:
    if request.method not in {"GET", "HEAD"}:
        return await endpoint()
    route: APIRoute = request.scope["route"]
    container = request.app.state.container
    now: Callable[[], datetime] = container.clock()
    personal = is_personal(route)
    not_kept: list[Response] = []

    async def compute() -> bytes:
        response = await _response(route, await endpoint())
        plain = response.status_code == HTTPStatus.OK and set(response.headers) == PLAIN
        if not plain or response.background:
            not_kept.append(response)
            raise _NotKept
        return _pack(response, now())

    try:
        key = _key(route, request, personal=personal)
        entry = await container.cache().get_or_compute(key, compute, ttl=timedelta(seconds=expire))
    except _NotKept:
        return not_kept[0] if not_kept else await endpoint()  # somebody else's was not kept: it may not be for us
    answer, age = _unpack(entry.value, now())
    answer.headers["Age"] = str(age)
    answer.headers["Cache-Control"] = f"{'private' if personal else 'public'}, max-age={max(0, expire - age)}"
    answer.headers["X-Cache"] = "HIT" if entry.hit else "MISS"
    if not_modified(request, answer.headers["ETag"]):
        del answer.headers["Content-Type"], answer.headers["Content-Length"]
        return Response(status_code=304, headers=answer.headers)
    return answer


def _key(route: APIRoute, request: Request, *, personal: bool) -> str:
    query = urlencode(sorted(request.query_params.multi_items(), key=itemgetter(0)))
    user = f":user_{request.state.actor}" if personal else ""
    return f"response:{route.name}:{quote(request.scope['path'])}?{query}".rstrip("?") + user


async def _response(route: APIRoute, content: Any) -> Response:
    """What FastAPI makes of a function's result (`fastapi.routing.get_request_handler`)."""
    if isinstance(content, Response):
        return content
    kind, field = route.response_class, route.response_field
    straight = isinstance(kind, DefaultPlaceholder) and field is not None
    options = {option: getattr(route, f"response_model_{option}") for option in OPTIONS}
    body = await serialize_response(field=field, response_content=content, dump_json=straight, **options)
    status = route.status_code or HTTPStatus.OK
    if straight:
        return Response(body, status, media_type="application/json")
    return (kind.value if isinstance(kind, DefaultPlaceholder) else kind)(body, status)


def _pack(response: Response, now: datetime) -> bytes:
    tag = f'"{hashlib.sha256(response.body).hexdigest()}"'
    return json.dumps([now.timestamp(), tag, response.headers["content-type"]]).encode() + b"\n" + response.body


def _unpack(packed: bytes, now: datetime) -> tuple[Response, int]:
    """The answer, and its age in seconds."""
    head, _, body = packed.partition(b"\n")
    made_at, tag, content_type = json.loads(head)
    response = Response(body, headers={"Content-Type": content_type, "ETag": tag})
    return response, max(0, int(now.timestamp() - made_at))
