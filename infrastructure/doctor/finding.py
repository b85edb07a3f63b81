"""What the doctor says of a part: how it is, and how to mend it."""

import errno
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` and `mend` hold no secret: of an error only what `reason` tells."""

    part: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    mend: str = ""


def reason(error: BaseException) -> str:
    """The type of what came first: its text could hold anything."""
    while error.__cause__:
        error = error.__cause__
    name = type(error).__name__
    code = getattr(error, "errno", None) if type(error) is OSError else getattr(error, "code", None)
    return f"{name} {errno.errorcode.get(code, code)}" if isinstance(code, int) else name
