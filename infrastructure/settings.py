"""All configuration, from the environment or `.env`, read once."""

import re
import secrets
from functools import cached_property
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.file_type import FILE_TYPES
from infrastructure.kept_secret import SECRET_BYTES, kept_secret
from infrastructure.mail_values import is_a_sender, names_a_mail_server

VAR = Path("var")  # what an embedded service keeps beside its database


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="TASKWELL_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field(default="127.0.0.1", min_length=1)  # an empty one would be every address of the machine
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    database_url: str = Field(default="sqlite+aiosqlite:///var/taskwell.db", repr=False)  # may hold a password
    database_pool_size: int = Field(default=10, ge=1)
    redis_url: str = Field(default="", repr=False)  # likewise
    storage_url: str = "file:var/files"
    s3_endpoint_url: str = Field(default="", pattern=r"^(https?://[^/]+/?)?$")
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    max_file_bytes: int = Field(default=10 * 1024 * 1024, ge=1)
    file_types: Annotated[frozenset[str], NoDecode] = frozenset(
        "jpg jpeg png gif webp pdf doc docx xlsx txt csv md".split()
    )
    user_quota_bytes: int = Field(default=1024**3, ge=0)
    reconcile_min_age_seconds: int = Field(default=900, ge=1, le=366 * 86_400)
    stats_ttl_seconds: int = Field(default=300, ge=1, le=366 * 86_400)
    rate_limits_enabled: bool = True
    limit_login: str = "5/minute;20/hour"
    limit_register: str = "10/hour"
    limit_task_create: str = "100/hour"
    limit_upload: str = "20/hour"
    limit_bulk: str = "50/hour"
    limit_default: str = "1000/hour"
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    root_path: str = ""
    public_url: str = ""
    smtp_url: SecretStr = SecretStr("")
    mail_from: str = ""
    docs_enabled: bool = True
    jobs_in_server: bool = False
    worker_port: int = Field(default=8001, ge=0, le=65535)
    example_routes: bool | None = None  # unset: only in embedded mode
    shutdown_seconds: int = Field(default=5, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @property
    def database(self) -> Literal["memory", "sqlite", "postgresql"]:
        return _DATABASES[self.database_url.partition(":")[0]]

    @property
    def sqlite_file(self) -> Path:
        return Path(_file_of(self.database_url))

    @property
    def lock_file(self) -> Path:
        """Held by the one process that serves an SQLite database."""
        return Path(f"{self.sqlite_file}.lock")

    @property
    def embedded(self) -> bool:
        """One process that migrates at start and runs its own jobs."""
        return self.database != "postgresql"

    @property
    def runs_jobs(self) -> bool:
        return self.embedded or self.jobs_in_server

    @property
    def has_examples(self) -> bool:
        return self.embedded if self.example_routes is None else self.example_routes

    @property
    def cache(self) -> Literal["memory", "redis"]:
        return "redis" if self.redis_url else "memory"

    @property
    def storage(self) -> Literal["memory", "filesystem", "s3"]:
        if self.storage_url == "memory:":
            return "memory"
        return "s3" if self.storage_url.startswith("s3:") else "filesystem"

    @property
    def notifier(self) -> Literal["log", "smtp"]:
        return "smtp" if self.smtp_url.get_secret_value() else "log"

    @property
    def home(self) -> str:
        """Where the links in mails lead: what is shown to users, or else the service's own page."""
        return self.public_url or f"http://{self.host}:{self.port}/docs"

    @property
    def files_folder(self) -> Path:
        return Path(self.storage_url.removeprefix("file:"))

    @property
    def limits(self) -> dict[str, str]:
        prefix = "limit_"
        return {
            name.removeprefix(prefix).replace("_", "-"): getattr(self, name)
            for name in type(self).model_fields
            if name.startswith(prefix)
        }

    @cached_property
    def secret(self) -> str:
        """What signs tokens and cursors: the key that is set, or one made once and kept beside the database."""
        if given := self.secret_key.get_secret_value():
            return given
        return secrets.token_urlsafe(SECRET_BYTES) if self.database == "memory" else kept_secret(VAR / "secret-key")

    @field_validator("file_types", mode="before")
    @classmethod
    def _known_types(cls, value: object) -> object:
        types = frozenset(str(kind).lower() for kind in _comma_separated(value))
        if unknown := sorted(types - FILE_TYPES.keys()):
            raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(FILE_TYPES))}")
        return types

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(ip_network(str(network)) for network in _comma_separated(value))

    @field_validator(
        "limit_login", "limit_register", "limit_task_create", "limit_upload", "limit_bulk", "limit_default"
    )
    @classmethod
    def _rates(cls, value: str) -> str:
        parse_many(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value.partition(":")[0] not in _DATABASES:
            raise ValueError("must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://")
        if value.startswith("sqlite") and _file_of(value) in {"", ":memory:"}:
            raise ValueError("must name a file; memory: is the database that forgets everything at its end")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if value and value.partition("://")[0] not in {"redis", "rediss", "unix"}:
            raise ValueError("must begin with redis://")
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        if value == "memory:" or re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[\w!.*'()/-]*)?", value):
            return value
        if value.startswith("file:") and not value.startswith("file://") and value != "file:":
            return value
        raise ValueError("must be file: and a folder, such as file:var/files or file:/srv/files, or s3://bucket/prefix")

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
            raise ValueError("must begin with http:// or https:// and name a host")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not names_a_mail_server(value.get_secret_value()):
            raise ValueError(
                "must be such as smtp://host:port or smtps://user:password@host, special characters as %40"
            )
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        if value and not is_a_sender(value):
            raise ValueError("must be one address, such as Taskwell <tasks@example.org>")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        secret = self.secret_key.get_secret_value()
        if self.workers > 1 and self.embedded:
            raise ValueError(
                f"TASKWELL_WORKERS={self.workers} needs TASKWELL_DATABASE_URL to name a PostgreSQL database"
            )
        if self.workers > 1 and not self.redis_url:
            raise ValueError(
                f"TASKWELL_WORKERS={self.workers} needs TASKWELL_REDIS_URL, for one cache and one count of requests"
            )
        if not self.embedded and not secret:
            raise ValueError("TASKWELL_SECRET_KEY must be set when the database is not SQLite")
        if secret and len(secret.encode()) < SECRET_BYTES:
            raise ValueError(f"TASKWELL_SECRET_KEY must have at least {SECRET_BYTES} bytes")
        if self.notifier == "smtp" and not self.mail_from:
            raise ValueError("TASKWELL_SMTP_URL needs TASKWELL_MAIL_FROM, the address that mails come from")
        return self

    @model_validator(mode="after")
    def _has_what_s3_needs(self) -> Self:
        if self.storage != "s3":
            return self
        given = {
            "TASKWELL_S3_ACCESS_KEY_ID": self.s3_access_key_id,
            "TASKWELL_S3_SECRET_ACCESS_KEY": self.s3_secret_access_key.get_secret_value(),
            "TASKWELL_S3_REGION": self.s3_region,
        }
        if missing := [name for name, value in given.items() if not value]:
            raise ValueError(f"TASKWELL_STORAGE_URL={self.storage_url} needs {' and '.join(missing)}")
        if find_spec("obstore") is None:
            raise ValueError(
                f"TASKWELL_STORAGE_URL={self.storage_url} needs the extra s3: install the package with it,"
                " as in pip install '.[s3]'"
            )
        return self


_DATABASES: dict[str, Literal["memory", "sqlite", "postgresql"]] = {
    "memory": "memory",
    "sqlite+aiosqlite": "sqlite",
    "postgresql+asyncpg": "postgresql",
}


def _file_of(database_url: str) -> str:
    """Three slashes are before a relative path, four before an absolute one."""
    return urlsplit(database_url).path[1:]


def _comma_separated(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, tuple | list | set | frozenset) else (value,)
