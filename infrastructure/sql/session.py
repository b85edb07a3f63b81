"""What the repositories share: one connection, and whether it may write."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

Parameters: TypeAlias = dict[str, Any] | Sequence[dict[str, Any]] | None


class Session:
    def __init__(self, conn: AsyncConnection, *, writes: bool) -> None:
        self.conn = conn
        self.writes = writes

    async def query(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        return await self.conn.execute(statement, parameters)

    async def change(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        if not self.writes:
            raise RuntimeError("a write needs work.write()")
        return await self.conn.execute(statement, parameters)
