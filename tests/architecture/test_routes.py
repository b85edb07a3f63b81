"""What every route, and every error that it can answer with, has in common, so that a new one can't forget it."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import iscoroutinefunction, isfunction
from pkgutil import iter_modules
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

import application
import domain
import interfaces.http
from domain.errors import DomainError, Invalid
from infrastructure.container import Container
from infrastructure.settings import Settings
from interfaces.http import problems
from interfaces.http.app import create_app
from interfaces.http.deps import current_user, parts
from interfaces.http.limiter import Notes
from interfaces.http.problems import STATUS
from interfaces.http.routing import Route

FRAMEWORK = {"/docs", "/docs/oauth2-redirect", "/openapi.json"}
UNLIMITED = {"/health/live", "/health/ready", "/metrics"}
PUBLIC = {
    *UNLIMITED,
    "/",
    "/auth/register",  # these three are how somebody becomes a user
    "/auth/login",
    "/auth/token",
    "/cached-data",  # the examples
    "/rate-limited",
    "/background-task",
}
SETTINGS: dict[str, Any] = {
    "_env_file": None,
    "database_url": "memory:",
    "storage_url": "memory:",
    "secret_key": "s" * 32,
    "example_routes": True,
    "docs_enabled": True,
    "root_path": "",
}


@cache
def app() -> FastAPI:
    return create_app(Container(settings=Settings(**SETTINGS)))


def routes() -> list[Route]:
    """Those of ours."""
    found = [context.original_route for context in iter_route_contexts(app().routes)]
    return [route for route in found if isinstance(route, Route)]


def test_every_route_has_the_class_that_judges_a_request_in_order() -> None:
    others = {
        context.path for context in iter_route_contexts(app().routes) if type(context.original_route) is not Route
    }
    assert others == FRAMEWORK


def test_every_route_needs_a_user_unless_it_is_meant_to_be_public() -> None:
    open_to_all = {
        route.path for route in routes() if current_user not in {part.call for part in parts(route.dependant)}
    }
    assert open_to_all == PUBLIC


def test_every_route_is_limited_but_those_of_machines() -> None:
    assert {route.path for route in routes() if Notes.of(route.endpoint).exempt} == UNLIMITED


def test_every_budget_that_a_route_names_is_one_of_the_settings() -> None:
    named = {budget for route in routes() for budget in Notes.of(route.endpoint).budgets}
    assert named <= set(Settings(**SETTINGS).limits)
    assert {"login", "register", "task-create", "upload", "bulk"} <= named


def test_nothing_that_a_request_calls_is_a_hop_to_a_thread() -> None:
    calls = [part.call for route in routes() for part in parts(route.dependant)]
    assert len(calls) > 2 * len(routes())
    for call in calls:
        # A generator would end after the answer is sent: too late to commit anything, or to fail.
        assert iscoroutinefunction(call if isfunction(call) else type(call).__call__), call


def errors() -> list[type[DomainError]]:
    """All that can be raised: the kinds that others are made of have no code."""
    for package in (domain, application, interfaces.http):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    return [error for error in descendants(DomainError) if "code" in vars(error)]


def descendants(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def http_problems() -> list[tuple[str, str]]:
    """Those that only HTTP knows: constants of a code and a title."""
    constants = [value for name, value in vars(problems).items() if name.isupper() and isinstance(value, tuple)]
    assert len(constants) > 5
    return constants


def test_codes_are_unique_and_can_be_in_a_url() -> None:
    codes = [error.code for error in errors()] + [code for code, _ in http_problems()]
    assert [code for code, times in Counter(codes).items() if times > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


def test_every_error_has_a_title_that_is_no_docstring_and_a_status() -> None:
    titles = [vars(error).get("title", "") for error in errors()] + [title for _, title in http_problems()]
    assert [title for title in titles if not re.fullmatch(r"[A-Z].+\.", title)] == []
    assert [error for error in errors() if not set(error.__mro__) & STATUS.keys()] == []
    kinds = [kind for kind in descendants(DomainError) if "code" not in vars(kind)]
    assert set(kinds) | {Invalid} == STATUS.keys()
