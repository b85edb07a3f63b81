"""Access tokens as signed JWTs (RFC 7519, HS256)."""

from datetime import timedelta

import jwt

from application.ports import AccessToken, Clock
from domain.user import NotAuthenticated, User, UserId

ALGORITHM = "HS256"
LIFETIME = timedelta(minutes=30)
LARGEST = 2**63 - 1  # what a database takes for an id
CLAIMS = ("sub", "exp", "iat")


class JwtTokens:
    """Both sides: the `TokenIssuer` and the `Authenticator`."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, user: User) -> AccessToken:
        now = self._clock()
        claims = {"sub": str(user.id), "iat": now, "exp": now + LIFETIME}
        return AccessToken(jwt.encode(claims, self._secret, ALGORITHM), int(LIFETIME.total_seconds()))

    async def __call__(self, bearer: str) -> UserId:
        try:
            # Expiry is judged by our own clock, below, so that tests can move it.
            options: jwt.types.Options = {"require": list(CLAIMS), "verify_exp": False, "verify_iat": False}
            claims = jwt.decode(bearer, self._secret, [ALGORITHM], options=options)
            user_id, expires = int(claims["sub"]), float(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise NotAuthenticated from error
        if not expires > self._clock().timestamp() or not 0 < user_id <= LARGEST:
            raise NotAuthenticated
        return UserId(user_id)
