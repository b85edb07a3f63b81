"""Refused at the start: routes where it would get lost who asks, or where @cache would lose a part of the answer."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security.base import SecurityBase

from interfaces.http.caching import is_cached, is_personal
from interfaces.http.deps import current_user, parts
from interfaces.http.routing import Route


def check_identities(app: FastAPI) -> None:
    """Raise `TypeError`, with a sentence that says how to write it, for the first such route."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for mistake in _mistakes(route, context.dependant):
                raise TypeError(f"{' '.join(sorted(route.methods or ()))} {context.path}: {mistake}")


def _mistakes(route: APIRoute, included: Dependant) -> Iterator[str]:
    own, everything = list(parts(route.dependant)), list(parts(included))
    asks = any(part.call is current_user for part in own)
    if any(part.call is current_user for part in everything) and not asks:
        yield (
            "the user is asked for where the router is included, which neither the check of the token nor @cache sees;"
            " ask in the router, APIRouter(dependencies=[Depends(current_user)]), or in the function, actor: Actor"
        )
    if not is_cached(route.endpoint):
        return
    if is_personal(route) and not isinstance(route, Route):
        yield "@cache needs to know the user; give the router route_class=Route, which finds out"
    if not asks and any(isinstance(part.call, SecurityBase) for part in everything):
        yield "@cache would share an answer behind a security scheme of its own; ask for the user by actor: Actor"
    unseen = [field for part in own for field in (*part.header_params, *part.cookie_params, *part.body_params)]
    if lost := sorted(field.alias for field in unseen):
        yield f"@cache tells answers apart by path, query and user; {', '.join(lost)} would be ignored"
    if any(part.response_param_name for part in everything):
        yield "@cache keeps what the function returns; what a dependency says by its Response would be lost"
