"""What the values of single settings may be. A value is never repeated in what is said of it: it may hold a secret."""

import re
from email.utils import getaddresses
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from email_validator import validate_email
from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from domain.file_type import FILE_TYPES

DATABASES: dict[str, Literal["memory", "sqlite", "postgresql"]] = {
    "memory": "memory",
    "sqlite+aiosqlite": "sqlite",
    "postgresql+asyncpg": "postgresql",
}

LAST_PORT = 65_535


def file_of(database_url: str) -> str:
    """Three slashes are before a relative path, four before an absolute one."""
    return urlsplit(database_url).path[1:]


def _database(url: str) -> str:
    if url.partition(":")[0] not in DATABASES:
        raise ValueError("must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://")
    if url.startswith("sqlite") and file_of(url) in {"", ":memory:"}:
        raise ValueError("must name a file; memory: is the database that forgets everything at its end")
    if url.startswith("postgresql") and not _names_a_database(url):
        form = "postgresql+asyncpg://user:password@host:port/name"
        raise ValueError(f"must be such as {form}, special characters as %40")
    if "sslmode=" in url.partition("?")[2]:
        raise ValueError("has to say ssl= for sslmode=, such as ?ssl=require: that is what asyncpg knows")
    return url


def _names_a_database(url: str) -> bool:
    from sqlalchemy import exc, make_url  # noqa: PLC0415 # only who has PostgreSQL waits for it

    try:
        return (make_url(url).port or 0) <= LAST_PORT
    except (ValueError, exc.ArgumentError):  # its text could show a part of the password
        return False


def _redis(url: str) -> str:
    if url and url.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ValueError("must begin with redis://")
    if url and not _names_a_redis(url):
        raise ValueError("must be such as redis://user:password@host:port/0, special characters as %40")
    return url


def _names_a_redis(url: str) -> bool:
    from redis.connection import parse_url  # noqa: PLC0415 # only who has one waits for it

    try:
        parse_url(url)  # type: ignore[no-untyped-call]  # redis has no types here
    except ValueError:  # likewise
        return False
    return True


def _storage(url: str) -> str:
    if url == "memory:" or re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[\w!.*'()/-]*)?", url):
        return url
    if url.startswith("file:") and not url.startswith("file://") and url != "file:":
        return url
    raise ValueError("must be file: and a folder, such as file:var/files or file:/srv/files, or s3://bucket/prefix")


def _file_types(types: frozenset[str]) -> frozenset[str]:
    known = frozenset(kind.lower() for kind in types)
    if unknown := sorted(known - FILE_TYPES.keys()):
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(FILE_TYPES))}")
    return known


def _rates(value: str) -> str:
    parse_many(value)
    return value


def _web_address(url: str) -> str:
    if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
        raise ValueError("must begin with http:// or https:// and name a host")
    return url


def _mail_server(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not _names_a_mail_server(url.get_secret_value()):
        raise ValueError("must be such as smtp://host:port or smtps://user:password@host, special characters as %40")
    return url


def _names_a_mail_server(url: str) -> bool:
    try:
        server = urlsplit(url)
        port = server.port
    except ValueError:  # its text could show a part of the password
        return False
    known = server.scheme in {"smtp", "smtps"} and bool(server.hostname) and port != 0
    rest = server.path.strip("/") or server.query or server.fragment
    return known and bool(server.username) == bool(server.password) and not rest


def _sender(value: str) -> str:
    if value and not _is_a_sender(value):
        raise ValueError("must be one address, such as Taskwell <tasks@example.org>")
    return value


def _is_a_sender(value: str) -> bool:
    try:
        ((_, address),) = getaddresses([value])
        validate_email(address, check_deliverability=False, test_environment=True)
    except ValueError:  # not one, or none
        return False
    return value.isprintable()


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _split(value)
    return tuple(ip_network(str(part)) for part in parts) if isinstance(parts, list | tuple) else parts


DatabaseUrl = Annotated[str, AfterValidator(_database), Field(repr=False)]  # it may hold a password
RedisUrl = Annotated[str, AfterValidator(_redis), Field(repr=False)]  # likewise
StorageUrl = Annotated[str, AfterValidator(_storage)]
FileTypes = Annotated[frozenset[str], NoDecode, BeforeValidator(_split), AfterValidator(_file_types)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
Rates = Annotated[str, AfterValidator(_rates)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
MailServer = Annotated[SecretStr, AfterValidator(_mail_server)]
Sender = Annotated[str, AfterValidator(_sender)]
