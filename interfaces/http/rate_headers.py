"""What a client is told about its limits.

`X-RateLimit-*` speak of the tightest rate, `RateLimit-Policy` and `RateLimit` of all of them, as structured fields:
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11 (May 2026), sections 3 and 4.
"""

import math
import re
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from slowapi.wrappers import Limit

from application.ports import Window

STATE = "rate_verdicts"
UNFIT_FOR_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rate of a request, and what the request left of it."""

    limit: Limit
    window: Window

    @property
    def amount(self) -> int:
        return self.limit.limit.amount

    @property
    def seconds(self) -> int:
        return self.limit.limit.get_expiry()

    @property
    def resets_in(self) -> int:
        """Whole seconds: never before the window's end."""
        return math.ceil(self.window.resets_in)


def verdicts_in(state: MutableMapping[str, Any]) -> list[Verdict]:
    """The verdicts on this request so far, in `scope["state"]`; append to them."""
    verdicts: list[Verdict] = state.setdefault(STATE, [])
    return verdicts


def tightest(verdicts: Sequence[Verdict]) -> Verdict:
    """Of the exceeded ones the last to end, so that waiting for it is enough; else the one with the least left.

    Of several with equally little left, again the last to end.
    """
    return min(
        verdicts,
        key=lambda one: (one.window.allowed, one.window.remaining * one.window.allowed, -one.window.resets_in),
    )


def rate_headers(state: MutableMapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The headers for the answer to the request with this `scope["state"]`; none if it was not counted."""
    verdicts = verdicts_in(state)
    if not verdicts:
        return []
    worst = tightest(verdicts)
    named = list(zip(_names(verdicts), verdicts, strict=True))
    headers = {
        "x-ratelimit-limit": str(worst.amount),
        "x-ratelimit-remaining": str(worst.window.remaining),
        "x-ratelimit-reset": str(worst.resets_in),
        "ratelimit-policy": ", ".join(f'"{name}";q={one.amount};w={one.seconds}' for name, one in named),
        "ratelimit": ", ".join(f'"{name}";r={one.window.remaining};t={one.resets_in}' for name, one in named),
    }
    if not worst.window.allowed:
        headers["retry-after"] = str(max(1, worst.resets_in))
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _names(verdicts: Sequence[Verdict]) -> list[str]:
    """`default`; with several rates in one budget `login-5-per-60s`, since the name ties the two fields together."""
    scopes = [UNFIT_FOR_A_NAME.sub("-", one.limit.scope.rpartition(".")[2]) for one in verdicts]
    times = Counter(scopes)
    return [
        scope if times[scope] == 1 else f"{scope}-{one.amount}-per-{one.seconds}s"
        for scope, one in zip(scopes, verdicts, strict=True)
    ]
