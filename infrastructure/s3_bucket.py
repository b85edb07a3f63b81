"""A bucket of an S3 service: how it is reached, and what obstore has no words for."""

import asyncio
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree

from obstore.store import S3Store
from pydantic import SecretStr

from application.ports import StorageAway

if TYPE_CHECKING:  # this is nowhere at run time
    from obstore.store import S3Credential

TRIES = 3
TRY_SECONDS = 2.5  # without a byte from the service
PATIENCE_SECONDS = 9  # for all tries, and for clearing up after them


@dataclass(frozen=True, slots=True)
class Bucket:
    """`url` is `s3://bucket/prefix`; without an endpoint it is that of AWS."""

    url: str
    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: SecretStr

    @property
    def endpoint(self) -> str:
        return self.endpoint_url or f"https://s3.{self.region}.amazonaws.com"

    @property
    def name(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path.strip("/")

    def store(self, *, tries: int = TRIES) -> S3Store:
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            region=self.region,
            # In the forms that win over AWS_… variables, which may be meant for others.
            aws_endpoint_url_s3=self.endpoint,
            credential_provider=self._credential,
            skip_signature=False,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": self.endpoint.startswith("http:"),
                "connect_timeout": timedelta(seconds=1),
                "read_timeout": timedelta(seconds=TRY_SECONDS),
                "timeout": timedelta(days=1),  # for a whole download, by a reader who may be slow
            },
            retry_config={
                "max_retries": tries - 1,
                "retry_timeout": timedelta(seconds=PATIENCE_SECONDS),
                "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=0.3)},
            },
        )

    async def ends_dangling_uploads(self) -> bool:
        """Whether an enabled lifecycle rule ends incomplete multipart uploads of ours. Raise `StorageAway` if it does
        not say, or may not."""
        try:
            rules = await asyncio.to_thread(self.ask, "lifecycle")
        except HTTPError as error:
            with error:
                if b"NoSuchLifecycleConfiguration" in error.read():
                    return False
            raise StorageAway from error
        except OSError as error:
            raise StorageAway from error
        return _ends_uploads(rules, f"{self.prefix}/" if self.prefix else "")

    def ask(self, query: str, content: bytes | None = None) -> bytes:
        """GET one of the bucket's own properties, or PUT it; they are XML. For use in a thread. Raise `OSError`."""
        method = "GET" if content is None else "PUT"
        headers = self._signed(method, query, content or b"", datetime.now(UTC))
        url = f"{self.endpoint}/{self.name}?{query}="
        request = Request(url, content, headers, method=method)  # noqa: S310 # the operator's URL
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 # the same
            body: bytes = answer.read()
        return body

    def _signed(self, method: str, query: str, content: bytes, now: datetime) -> dict[str, str]:
        """The headers of a request for `/bucket?query=`, by AWS Signature Version 4."""
        digest, moment = sha256(content).hexdigest(), f"{now:%Y%m%dT%H%M%SZ}"
        headers = {"host": urlsplit(self.endpoint).netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
        lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
        request = f"{method}\n/{self.name}\n{query}=\n{lines}\n{names}\n{digest}"
        scope = f"{now:%Y%m%d}/{self.region}/s3/aws4_request"
        key = f"AWS4{self.secret_access_key.get_secret_value()}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"Credential={self.access_key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        return headers | {"authorization": f"AWS4-HMAC-SHA256 {credential}"}

    def _credential(self) -> "S3Credential":
        secret = self.secret_access_key.get_secret_value()
        return {"access_key_id": self.access_key_id, "secret_access_key": secret, "token": None, "expires_at": None}


def _ends_uploads(lifecycle: bytes, prefix: str) -> bool:
    """A rule may be for a part of the bucket only: then all of ours has to lie in that."""
    return any(
        rule.findtext("{*}Status") == "Enabled"
        and rule.find("{*}AbortIncompleteMultipartUpload") is not None
        and prefix.startswith(rule.findtext(".//{*}Prefix") or "")
        for rule in ElementTree.fromstring(lifecycle).iterfind("{*}Rule")  # noqa: S314 # from the operator's service
    )
