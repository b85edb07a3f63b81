"""How often a client may call a route: judged before anything else is done for the request."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slowapi.errors import RateLimitExceeded
from slowapi.wrappers import Limit
from starlette.requests import Request

from application.ports import Rate, RateStore
from interfaces.http.client_address import Network, address_key, client_address
from interfaces.http.limiter import Notes, limits_of, per_address, per_client
from interfaces.http.rate_headers import Verdict, tightest, verdicts_in

DEFAULT = "default"
LOGIN = "login"  # always per address: who guesses passwords bears no token, or somebody else's
ACCOUNT = "login-account"
PLAIN = re.compile(r"[\w.:@+-]{1,100}", re.ASCII)


class Rates:
    """The limits of one app, in `app.state.rates`: its store, the rates of its budgets, the proxies that it believes.

    A route without decorators, or with none that overrides it, has the budget `default`. One with a limit for some
    methods only has it for the others.
    """

    def __init__(
        self,
        store: RateStore,
        budgets: Mapping[str, str],
        *,
        enabled: bool = True,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._store = store
        self._enabled = enabled
        self._trusted = trusted_proxies
        self._budgets = {
            name: tuple(limits_of(rates, per_address if name == LOGIN else per_client, scope=name))
            for name, rates in budgets.items()
        }
        self._account = tuple(limits_of(budgets[LOGIN], per_address, scope=ACCOUNT))

    async def check(self, request: Request, endpoint: Callable[..., Any]) -> None:
        """Count the request against all rates of its route. Raise `RateLimitExceeded` and count nothing if one is full.

        By now `request.state.actor` is the user's id, or None.
        """
        notes = Notes.of(endpoint)
        if self._enabled and not notes.exempt:
            await self._count(request, [(limit, limit.key_func(request)) for limit in self._limits(request, notes)])

    async def check_account(self, request: Request, name: str) -> None:
        """Count an attempt to log in to this account, from wherever. Raise `RateLimitExceeded` like `check`."""
        if self._enabled:
            await self._count(
                request, [(limit, f"account_{_plain(name.strip().casefold())}") for limit in self._account]
            )

    def client_of(self, request: Request) -> str:
        actor = getattr(request.state, "actor", None)
        return self.address_of(request) if actor is None else f"user_{actor}"

    def address_of(self, request: Request) -> str:
        return f"ip_{address_key(client_address(request.scope, self._trusted))}"

    def _limits(self, request: Request, notes: Notes) -> list[Limit]:
        limits = [limit for name in notes.budgets for limit in self._budgets[name]]
        limits += [
            limit for evaluate in notes.limits for limit in evaluate(request) if _concerns(limit, request.method)
        ]
        if not any(limit.override_defaults for limit in limits):
            limits += self._budgets[DEFAULT]
        return [limit for limit in limits if not limit.is_exempt(request)]

    async def _count(self, request: Request, keyed: list[tuple[Limit, str]]) -> None:
        if not keyed:
            return
        # An empty key would mean no limit, or one for everybody.
        rates = [_rate(limit, key or self.client_of(request), request) for limit, key in keyed]
        windows = await self._store.hit(rates)
        verdicts = verdicts_in(request.scope.setdefault("state", {}))
        verdicts += [Verdict(limit, window) for (limit, _), window in zip(keyed, windows, strict=True)]
        worst = tightest(verdicts)
        if not worst.window.allowed:
            raise RateLimitExceeded(worst.limit)


def _concerns(limit: Limit, method: str) -> bool:
    return limit.methods is None or method.lower() in limit.methods


def _rate(limit: Limit, key: str, request: Request) -> Rate:
    scope = f"{limit.scope}:{request.method}" if limit.per_method else limit.scope
    cost = limit.cost(request) if callable(limit.cost) else limit.cost
    return Rate(f"{_plain(key)}/{scope}", limit.limit.amount, limit.limit.get_expiry(), cost)


def _plain(key: str) -> str:
    """Readable where it can be; a client that chooses a part of the key chooses neither its length nor a slash."""
    text = str(key)
    return text if PLAIN.fullmatch(text) else hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
