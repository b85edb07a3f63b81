"""The secret of an embedded service: made once, and kept beside its database."""

import secrets
from pathlib import Path

SECRET_BYTES = 32


def kept_secret(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(SECRET_BYTES))
        draft.rename(path)  # in one step: a crash leaves no half secret behind
    return path.read_text()
