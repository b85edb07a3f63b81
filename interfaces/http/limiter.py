"""The decorators that say how often a route may be called: they take notes, which `rates.py` reads at each request."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import slowapi
from slowapi.wrappers import Limit, LimitGroup
from starlette.requests import Request
from typing_extensions import override

F = TypeVar("F", bound=Callable[..., Any])
KeyFunc = Callable[..., str]

NOTES = "__rate_limits__"

# slowapi itself has no defaults for these.
limits_of = partial(
    LimitGroup, per_method=False, methods=None, error_message=None, exempt_when=None, cost=1, override_defaults=True
)


@dataclass(frozen=True, slots=True)
class Notes:
    """What the decorators of a route said; `limits` are evaluated at each request, because they may be dynamic."""

    exempt: bool = False
    budgets: tuple[str, ...] = ()
    limits: tuple[Callable[[Request], Iterable[Limit]], ...] = ()

    @classmethod
    def of(cls, endpoint: Callable[..., Any]) -> "Notes":
        """They lie in the function itself and `functools.wraps` takes them along: the order of decorators is free."""
        notes: Notes = getattr(endpoint, NOTES, cls())
        return notes


def per_client(request: Request) -> str:
    """`user_7` with a valid token, else the same as `per_address`."""
    key: str = request.app.state.rates.client_of(request)
    return key


def per_address(request: Request) -> str:
    """`ip_192.0.2.7`; of an IPv6 address, its /64."""
    key: str = request.app.state.rates.address_of(request)
    return key


class Limiter(slowapi.Limiter):
    """slowapi's decorators. A function comes back as it was, and needs no `request` parameter.

    A string that is no rate raises `ValueError` at once. `exempt_when`, `cost` and functions for keys and limits are
    called at each request, on the event loop.
    """

    # The parent's would read ./.env and RATELIMIT_*, and open a store: both belong to the app, not to an import.
    def __init__(self, key_func: KeyFunc = per_client) -> None:
        self._key_func = key_func

    def budget(self, name: str) -> Callable[[F], F]:
        """Count the route against a budget of the settings (`TASKWELL_LIMIT_<NAME>`), which all its routes share."""

        def decorate(function: F) -> F:
            return _note(function, budgets=(name,))

        return decorate

    @override
    def limit(
        self,
        limit_value: str | Callable[..., str],
        key_func: KeyFunc | None = None,
        per_method: bool = False,
        methods: list[str] | None = None,
        error_message: str | Callable[..., str] | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,
    ) -> Callable[[F], F]:
        """A budget of this function's own, whatever the path; `cost` may be a function of the request."""
        return _limiting(
            limit_value,
            key_func or self._key_func,
            _name,
            per_method=per_method,
            methods=methods,
            error_message=error_message,
            exempt_when=exempt_when,
            cost=cost,
            override_defaults=override_defaults,
        )

    @override
    def shared_limit(
        self,
        limit_value: str | Callable[..., str],
        scope: str | Callable[..., str],
        key_func: KeyFunc | None = None,
        error_message: str | Callable[..., str] | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,
    ) -> Callable[[F], F]:
        """One budget for all functions that name the same `scope`; a callable scope gets the function's dotted name."""
        return _limiting(
            limit_value,
            key_func or self._key_func,
            lambda function: scope(_name(function)) if callable(scope) else scope,
            error_message=error_message,
            exempt_when=exempt_when,
            cost=cost,
            override_defaults=override_defaults,
        )

    @override
    def exempt(self, obj: F) -> F:
        """No limit at all."""
        return _note(obj, exempt=True)


def _limiting(
    limit_value: str | Callable[..., str], key_func: KeyFunc, scope: Callable[[Callable[..., Any]], str], **options: Any
) -> Callable[[F], F]:
    if any(inspect.iscoroutinefunction(given) for given in (limit_value, key_func, *options.values())):
        raise TypeError("limits, keys, costs and exemptions come from plain functions")  # a coroutine is always true
    group = partial(limits_of, limit_value, _taking_request(key_func), **options)

    def decorate(function: F) -> F:
        scoped = partial(group, scope=scope(function))
        if callable(limit_value):
            # slowapi left this method without types, and keeps the request in the group: each has its own.
            return _note(function, limits=(lambda request: scoped().with_request(request),))  # type: ignore[no-untyped-call]
        parsed = tuple(scoped())
        return _note(function, limits=(lambda _: parsed,))

    return decorate


def _note(function: F, *, exempt: bool = False, budgets: tuple[str, ...] = (), limits: tuple[Any, ...] = ()) -> F:
    notes = Notes.of(function)
    more = Notes(notes.exempt or exempt, notes.budgets + budgets, notes.limits + limits)
    setattr(function, NOTES, more)
    return function


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _taking_request(key_func: KeyFunc) -> Callable[[Request], str]:
    return key_func if "request" in inspect.signature(key_func).parameters else lambda request: key_func()


limiter = Limiter()
