"""The sha-256 of a `Content-Digest` header (RFC 9530), which is a dictionary of byte sequences (RFC 8941)."""

import base64
import re

from domain.file import DigestMismatch

MEMBER = re.compile(r":([A-Za-z0-9+/]{43}=):(;.*)?", re.ASCII)


def sha256_in(header: str) -> str | None:
    """In hexadecimal, or None if there is none. Raise `DigestMismatch` for what can't be the digest of anything."""
    found: str | None = None
    for member in header.split(","):
        name, _, value = member.strip(" \t").partition("=")
        if name == "sha-256":
            digest = MEMBER.fullmatch(value)
            if not digest:
                raise DigestMismatch(reason="digest")
            found = base64.b64decode(digest[1]).hex()
    return found
