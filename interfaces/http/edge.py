"""The outermost layer: what every answer has, whatever made it."""

import asyncio
import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interfaces.http.problems import HEADERS_TOO_LARGE, INTERNAL_ERROR, STOPPING, ProblemResponse
from interfaces.http.rate_headers import rate_headers

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
HEADER_BYTES = 64 * 1024
PROBES = frozenset({"/health/live", "/health/ready", "/metrics"})  # asked every few seconds, by machines

REQUESTS = Counter("http_requests_total", "Answers by method, route and status.", ["method", "route", "status"])
SECONDS = Histogram("http_request_seconds", "Time to the first byte of the answer.", ["method", "route"])
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


class Edge:
    """Request ids, rate headers, the 500, one observation and one log line for each request.

    Probes that are well are logged only when debugging.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.raw.extend(rate_headers(state))
                message["headers"] = headers.raw
                _observe(scope, status, time.perf_counter() - started)
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server is stopping and its time is up; whoever can still be told may try the next one.
            if not status:
                await ProblemResponse(scope, 503, STOPPING)(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.debug("client gone", method=scope["method"], path=scope["path"])
        except Exception:
            log.exception("unexpected error", method=scope["method"], path=scope["path"])
            if status:
                raise  # too late for another answer: the server cuts this one off
            await ProblemResponse(scope, 500, INTERNAL_ERROR)(scope, receive, send_with_headers)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > HEADER_BYTES:
            await ProblemResponse(scope, 431, HEADERS_TOO_LARGE)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex


def _observe(scope: Scope, status: int, seconds: float) -> None:
    """Labels are bounded: a path that is no route has none of its own."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)
    write = log.debug if route in PROBES and status < HTTPStatus.BAD_REQUEST else log.info
    write("answered", method=method, path=scope["path"], status=status, milliseconds=round(seconds * 1000, 1))
