"""Where the next page starts, as a text that only we can write."""

import base64
import hashlib
import hmac
import json
from binascii import Error as NotBase64
from datetime import datetime

from domain.errors import Invalid
from domain.task import TaskId
from domain.task_list import Position, SortBy, TaskSort

SEAL_BYTES = 16


class Cursors:
    """A cursor holds the order and the position, sealed with the service's secret; it is good for that order only."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"cursor" + secret.encode()).digest()

    def write(self, sort: TaskSort, position: Position) -> str:
        value = position.value.isoformat() if isinstance(position.value, datetime) else position.value
        text = json.dumps([sort.by, sort.descending, value, position.id]).encode()
        return base64.urlsafe_b64encode(self._seal(text) + text).rstrip(b"=").decode()

    def read(self, cursor: str, sort: TaskSort) -> Position:
        """Raise `Invalid` for what we have not written, or have written for another order."""
        try:
            sealed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (NotBase64, ValueError):
            sealed = b""
        seal, text = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
        # The same bytes have several spellings in base64; only ours is taken.
        ours = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() == cursor
        if not ours or not hmac.compare_digest(seal, self._seal(text)):
            raise Invalid("Not a cursor of this service.", pointer="/query/cursor", reason="cursor")
        by, descending, value, task_id = json.loads(text)
        if (by, descending) != (sort.by, sort.descending):
            raise Invalid("This cursor belongs to another order.", pointer="/query/cursor", reason="cursor")
        is_moment = value is not None and by in {SortBy.CREATED_AT, SortBy.UPDATED_AT, SortBy.DUE_AT}
        return Position(datetime.fromisoformat(value) if is_moment else value, TaskId(task_id))

    def _seal(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:SEAL_BYTES]
