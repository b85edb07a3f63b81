"""Claims that no token of ours has: signed with our key, they are refused all the same, and nothing breaks."""

from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from domain.user import NotAuthenticated
from infrastructure.jwt import ALGORITHM, JwtTokens

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECRET = "s" * 40
GOOD = {"sub": "7", "iat": NOON.timestamp(), "exp": NOON.timestamp() + 60}


def bearer(**claims: Any) -> str:
    return jwt.encode(GOOD | claims, SECRET, ALGORITHM)


async def test_a_good_one_is_believed() -> None:
    assert await JwtTokens(SECRET, lambda: NOON)(bearer()) == 7


@pytest.mark.parametrize("exp", [float("nan"), 10**400, "soon", -1, True], ids=str)
async def test_an_expiry_that_is_no_moment_to_come_is_refused(exp: Any) -> None:
    with pytest.raises(NotAuthenticated):
        await JwtTokens(SECRET, lambda: NOON)(bearer(exp=exp))


async def test_an_expiry_of_another_kind_is_refused() -> None:
    text = jwt.PyJWS().encode(b'{"sub": "7", "iat": 1, "exp": []}', SECRET, ALGORITHM)  # PyJWT's own encoder refuses it
    with pytest.raises(NotAuthenticated):
        await JwtTokens(SECRET, lambda: NOON)(text)


@pytest.mark.parametrize("sub", ["0", "-7", str(2**63), "1" * 5000, "seven", ""], ids=lambda sub: sub[:20])
async def test_a_subject_that_is_no_id_is_refused(sub: str) -> None:
    with pytest.raises(NotAuthenticated):
        await JwtTokens(SECRET, lambda: NOON)(bearer(sub=sub))
