"""All configuration, from the environment or `.env`, read once."""

import secrets
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infrastructure import setting_values as values
from infrastructure.kept_secret import SECRET_BYTES, kept_secret

VAR = Path("var")  # what an embedded service keeps beside its database


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="TASKWELL_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field(default="127.0.0.1", min_length=1)  # an empty one would be every address of the machine
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    database_url: values.DatabaseUrl = "sqlite+aiosqlite:///var/taskwell.db"
    database_pool_size: int = Field(default=10, ge=1)
    redis_url: values.RedisUrl = ""
    storage_url: values.StorageUrl = "file:var/files"
    s3_endpoint_url: str = Field(default="", pattern=r"^(https?://[^/]+/?)?$")
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    max_file_bytes: int = Field(default=10 * 1024 * 1024, ge=1)
    file_types: values.FileTypes = frozenset("jpg jpeg png gif webp pdf doc docx xlsx txt csv md".split())
    user_quota_bytes: int = Field(default=1024**3, ge=0)
    reconcile_min_age_seconds: int = Field(default=900, ge=0, le=366 * 86_400)
    stats_ttl_seconds: int = Field(default=300, ge=1, le=366 * 86_400)
    rate_limits_enabled: bool = True
    limit_login: values.Rates = "5/minute;20/hour"
    limit_register: values.Rates = "10/hour"
    limit_task_create: values.Rates = "100/hour"
    limit_upload: values.Rates = "20/hour"
    limit_bulk: values.Rates = "50/hour"
    limit_default: values.Rates = "1000/hour"
    trusted_proxies: values.Networks = ()
    root_path: str = ""
    public_url: values.WebAddress = ""
    smtp_url: values.MailServer = SecretStr("")
    mail_from: values.Sender = ""
    docs_enabled: bool = True
    jobs_in_server: bool = False
    worker_port: int = Field(default=8001, ge=0, le=65535)
    example_routes: bool | None = None  # unset: only in embedded mode
    shutdown_seconds: int = Field(default=5, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @property
    def database(self) -> Literal["memory", "sqlite", "postgresql"]:
        return values.DATABASES[self.database_url.partition(":")[0]]

    @property
    def sqlite_file(self) -> Path:
        return Path(values.file_of(self.database_url))

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

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        secret, many = self.secret_key.get_secret_value(), f"TASKWELL_WORKERS={self.workers} needs"
        if self.workers > 1 and self.embedded:
            raise ValueError(f"{many} TASKWELL_DATABASE_URL to name a PostgreSQL database")
        if self.workers > 1 and not self.redis_url:
            raise ValueError(f"{many} TASKWELL_REDIS_URL, for one cache and one count of requests")
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
