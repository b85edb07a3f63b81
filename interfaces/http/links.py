"""Paths as the client sees them."""

from fastapi import Request


def link(request: Request, path: str) -> str:
    """The path of a route of ours, behind whatever prefix a proxy serves us under (`TASKWELL_ROOT_PATH`)."""
    return f"{request.scope.get('root_path', '')}{path}"
