"""/tasks"""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from application.tasks import (
    CompleteTask,
    CreateTask,
    DeleteTask,
    DeleteTasks,
    GetTask,
    ListTasks,
    ReopenTask,
    UpdateTask,
    UpdateTasks,
)
from domain.task_list import TaskQuery
from interfaces.http.deps import Actor, TaskIdPath, Use
from interfaces.http.document import can_refuse
from interfaces.http.limiter import limiter
from interfaces.http.links import link
from interfaces.http.preconditions import IfMatch, etag, not_modified
from interfaces.http.routing import Route
from interfaces.http.task_models import (
    BulkDeleted,
    BulkIds,
    BulkPatch,
    BulkUpdated,
    TaskIn,
    TaskListIn,
    TaskOut,
    TaskPatch,
    TasksOut,
)

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=Route)

PATCH_SCHEMA = {"schema": {"$ref": f"#/components/schemas/{TaskPatch.__name__}"}}
MERGE_PATCH = {"requestBody": {"content": {"application/merge-patch+json": PATCH_SCHEMA}}}


@router.post("", status_code=201)
@limiter.budget("task-create")
async def create_task(
    body: TaskIn, actor: Actor, create: Use[CreateTask], request: Request, response: Response
) -> TaskOut:
    task = await create(actor, body.changes())
    response.headers["Location"] = link(request, f"/tasks/{task.id}")
    response.headers["ETag"] = etag(task.version)
    return TaskOut.of(task)


@router.get("")
async def list_tasks(
    query: Annotated[TaskListIn, Query()],
    actor: Actor,
    list_tasks: Use[ListTasks],
    request: Request,
    response: Response,
) -> TasksOut:
    cursors = request.app.state.cursors
    after = None if query.cursor is None else cursors.read(query.cursor, query.sort)
    page = await list_tasks(actor, TaskQuery(query.filter(), query.sort, after, query.limit))
    cursor: str | None = cursors.write(query.sort, page.next) if page.next else None
    if cursor:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        response.headers["Link"] = f'<{link(request, "/tasks")}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
    return TasksOut(items=[TaskOut.of(task) for task in page.tasks], next_cursor=cursor)


@router.patch("/bulk", responses=can_refuse(404))
@limiter.budget("bulk")
async def update_tasks(body: BulkPatch, actor: Actor, update: Use[UpdateTasks]) -> BulkUpdated:
    await update(actor, body.ids, body.set.changes())
    return BulkUpdated(updated=len(body.ids), ids=body.ids)


@router.post("/bulk/delete", responses=can_refuse(404))
@limiter.budget("bulk")
async def delete_tasks(body: BulkIds, actor: Actor, delete: Use[DeleteTasks]) -> BulkDeleted:
    await delete(actor, body.ids)
    return BulkDeleted(deleted=len(body.ids), ids=body.ids)


@router.get("/{task_id}", response_model=TaskOut)
async def get_task(
    task_id: TaskIdPath, actor: Actor, get: Use[GetTask], request: Request, response: Response
) -> TaskOut | Response:
    task = await get(actor, task_id)
    response.headers["ETag"] = etag(task.version)
    if not_modified(request, etag(task.version)):
        return Response(status_code=304, headers=response.headers)
    return TaskOut.of(task)


@router.patch("/{task_id}", openapi_extra=MERGE_PATCH)
async def update_task(
    task_id: TaskIdPath, body: TaskPatch, if_match: IfMatch, actor: Actor, update: Use[UpdateTask], response: Response
) -> TaskOut:
    task = await update(actor, task_id, body.changes(), versions=if_match)
    response.headers["ETag"] = etag(task.version)
    return TaskOut.of(task)


@router.delete("/{task_id}", status_code=204, response_class=Response)
async def delete_task(task_id: TaskIdPath, if_match: IfMatch, actor: Actor, delete: Use[DeleteTask]) -> None:
    await delete(actor, task_id, versions=if_match)


@router.post("/{task_id}/complete")
async def complete_task(task_id: TaskIdPath, actor: Actor, complete: Use[CompleteTask]) -> TaskOut:
    return TaskOut.of(await complete(actor, task_id))


@router.post("/{task_id}/reopen")
async def reopen_task(task_id: TaskIdPath, actor: Actor, reopen: Use[ReopenTask]) -> TaskOut:
    return TaskOut.of(await reopen(actor, task_id))
