"""What commands need of a database: that it was migrated."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from interfaces.cli.told import refuse

if TYPE_CHECKING:
    from infrastructure.container import Container
    from infrastructure.settings import Settings


async def need_schema(container: "Container") -> None:
    """Refuse a database that lacks something of this version. One that a later version has migrated already will do, as
    it does for processes that run meanwhile. Raise `DatabaseAway` if it does not answer."""
    from infrastructure.lifecycle import schema  # noqa: PLC0415 # each command imports only what it needs

    if await schema(container) in {"none", "old"}:
        refuse("the database is not at the schema of this version: run `taskwell migrate`")


def need_schema_unless_away(settings: "Settings") -> None:
    """For what starts without its database too, and waits for it."""
    from application.ports import DatabaseAway  # noqa: PLC0415 # likewise
    from infrastructure.container import Container  # noqa: PLC0415 # likewise
    from infrastructure.lifecycle import closing  # noqa: PLC0415 # likewise

    container = Container(settings=settings)

    async def ask() -> None:
        async with closing(container):
            await need_schema(container)

    with suppress(DatabaseAway):
        asyncio.run(ask())
