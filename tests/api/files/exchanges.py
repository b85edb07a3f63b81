"""Contents, and requests past the client; what the storage holds."""

import asyncio
import base64
import io
import zipfile
from collections.abc import Callable
from hashlib import sha256

from starlette.types import Message

from infrastructure.memory.storage import MemoryStorage
from tests.api.conftest import Api, Person

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
TEN = b"0123456789"


def storage_of(api: Api) -> MemoryStorage:
    storage: MemoryStorage = api.app.state.container.storage()
    return storage


def stored(api: Api) -> dict[str, bytes]:
    contents: dict[str, bytes] = vars(storage_of(api))["_contents"]
    return contents


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 # it may happen in another thread or process, which sets no event
            await asyncio.sleep(0.01)


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(content).digest()).decode()}:"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file.getvalue()


async def send_raw(person: Person, path: str, pieces: list[bytes], **headers: str) -> tuple[Message, bytes, int]:
    """Past the client: the start and the body of the answer, and how many pieces were taken before it."""
    fields = {"content_type": "multipart/form-data; boundary=b", "authorization": f"Bearer {person.token}", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": raw, "client": ("::1", 1),
    }  # fmt: skip
    left, sent, taken = list(pieces), list[Message](), 0

    async def receive() -> Message:
        nonlocal taken
        if not sent:
            taken += 1
        return (
            {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
            if left
            else {"type": "http.disconnect"}
        )

    async def send(message: Message) -> None:
        sent.append(message)

    await person.api.app(scope, receive, send)
    return sent[0], b"".join(message.get("body", b"") for message in sent), taken
