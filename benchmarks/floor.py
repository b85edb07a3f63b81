"""The least that `GET /tasks/{id}` can cost: Starlette and asyncpg, one token checked, one query, and nothing else."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = "id, title, description, priority, due_at, tags, created_at, updated_at, completed_at, version, file_count"
QUERY = f"SELECT {COLUMNS} FROM tasks WHERE id = $1 AND owner_id = $2"  # noqa: S608 # no value is in it
SECRET = os.environ.get("TASKWELL_SECRET_KEY", "")


async def get_task(request: Request) -> Response:
    claims = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), SECRET, ["HS256"])
    row = await request.state.pool.fetchrow(QUERY, int(request.path_params["task_id"]), int(claims["sub"]))
    return Response(json.dumps(dict(row), default=str), media_type="application/json")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    url = os.environ["TASKWELL_DATABASE_URL"].replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:
        yield {"pool": pool}


def create_app() -> Starlette:
    return Starlette(routes=[Route("/tasks/{task_id}", get_task)], lifespan=lifespan)
