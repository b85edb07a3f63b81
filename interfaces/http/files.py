"""/tasks/{task_id}/files and /files"""

from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter

from application.files import DeleteFile, GetFile, ListFiles, OpenFile
from application.uploads import UploadFile
from domain.file import FileContentMissing, TaskFile
from interfaces.http.deps import Actor, FileIdPath, TaskIdPath, Use
from interfaces.http.document import can_refuse
from interfaces.http.downloads import download
from interfaces.http.fields import MomentOut, Out
from interfaces.http.limiter import limiter
from interfaces.http.links import link
from interfaces.http.multipart import FIELD, MultipartFile
from interfaces.http.routing import Route

router = APIRouter(tags=["files"], route_class=Route)
log = structlog.get_logger()

CONTENTS_MISSING = Counter(
    "file_contents_missing_total", "Requests for a file that is recorded, but whose bytes are gone."
)

BINARY = {"type": "string", "format": "binary"}
FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: BINARY}, "additionalProperties": False}
# The route reads its body itself, after everything that can be judged without it.
UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}}
DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"*/*": {"schema": BINARY}}},
    206: {"description": "The range asked for.", "content": {"*/*": {"schema": BINARY}}},
    304: {"description": "Not changed."},
    416: {"description": "The file has no such bytes."},
}


class FileOut(Out):
    id: int
    task_id: int
    original_filename: str
    content_type: str
    file_size: int
    sha256: str
    uploaded_at: MomentOut

    @classmethod
    def of(cls, file: TaskFile) -> "FileOut":
        return cls.model_validate(file, from_attributes=True)


class FileListOut(Out):
    items: list[FileOut]


@router.post("/tasks/{task_id}/files", status_code=201, openapi_extra=UPLOAD, responses=can_refuse(507))
@limiter.budget("upload")
async def upload_file(
    task_id: TaskIdPath, actor: Actor, upload: Use[UploadFile], request: Request, response: Response
) -> FileOut:
    file = await upload(actor, task_id, MultipartFile(request))
    response.headers["Location"] = link(request, f"/tasks/{task_id}/files/{file.id}")
    return FileOut.of(file)


@router.get("/tasks/{task_id}/files")
async def list_files(task_id: TaskIdPath, actor: Actor, list_files: Use[ListFiles]) -> FileListOut:
    return FileListOut(items=[FileOut.of(file) for file in await list_files(actor, task_id)])


@router.get("/tasks/{task_id}/files/{file_id}")
async def get_file(task_id: TaskIdPath, file_id: FileIdPath, actor: Actor, get: Use[GetFile]) -> FileOut:
    return FileOut.of(await get(actor, task_id, file_id))


@router.get("/files/{file_id}", response_class=Response, responses=DOWNLOAD)
@router.head("/files/{file_id}", response_class=Response)
async def download_file(file_id: FileIdPath, actor: Actor, open_file: Use[OpenFile], request: Request) -> Response:
    try:
        return download(request, await open_file(actor, file_id))
    except FileContentMissing:
        CONTENTS_MISSING.inc()
        log.error("file content missing", file_id=file_id)  # noqa: TRY400 # there is no more to it than the id
        raise


@router.delete("/files/{file_id}", status_code=204, response_class=Response)
async def delete_file(file_id: FileIdPath, actor: Actor, delete: Use[DeleteFile]) -> None:
    await delete(actor, file_id)
