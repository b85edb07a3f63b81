"""What tests know of an S3 service by its URL, `http://key:secret@host/bucket/prefix`."""

import hashlib
import hmac
import re
import urllib.request
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from obstore.store import S3Store
from pydantic import SecretStr

from infrastructure.s3 import S3Storage

REGION = "us-east-1"


def settings_of(url: str) -> dict[str, str]:
    """The settings that make the service keep its files there."""
    place = urlsplit(url)
    return {
        "storage_url": f"s3:/{place.path}",
        "s3_endpoint_url": endpoint_of(place),
        "s3_region": REGION,
        "s3_access_key_id": place.username or "",
        "s3_secret_access_key": place.password or "",
    }


def storage_at(url: str) -> S3Storage:
    place = urlsplit(url)
    return S3Storage(
        f"s3:/{place.path}",
        endpoint_url=endpoint_of(place),
        region=REGION,
        access_key_id=place.username or "",
        secret_access_key=SecretStr(place.password or ""),
    )


def endpoint_of(place: SplitResult) -> str:
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}"


def names_at(url: str) -> list[str]:
    """All that can be seen there."""
    return [found["path"] for page in store_of(url).list() for found in page]


def make_bucket(url: str) -> None:
    """SeaweedFS makes it at the first upload; elsewhere it has to be there."""
    store_of(url).put("first", b"")
    store_of(url).delete("first")


def remove_all(url: str) -> None:
    if names := names_at(url):
        store_of(url).delete(names)


def store_of(url: str) -> S3Store:
    place = urlsplit(url)
    bucket, _, prefix = place.path.strip("/").partition("/")
    return S3Store(
        bucket,
        prefix=prefix,
        endpoint=endpoint_of(place),
        region=REGION,
        access_key_id=place.username,
        secret_access_key=place.password,
        client_options={"allow_http": True},
    )


def open_uploads(url: str) -> list[str]:
    """The names below there whose upload in parts has begun and not ended. obstore does not tell."""
    place = urlsplit(url)
    bucket, _, prefix = place.path.strip("/").partition("/")
    request = urllib.request.Request(f"{endpoint_of(place)}/{bucket}?uploads=")  # noqa: S310 - a URL of ours
    for name, value in signature(place, f"/{bucket}").items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - the same
        keys = re.findall(r"<Key>([^<]+)</Key>", reply.read().decode())
    return [key.removeprefix(f"{prefix}/") for key in keys if key.startswith(f"{prefix}/")]


def signature(place: SplitResult, path: str) -> dict[str, str]:
    """The headers of `GET path?uploads=`, by AWS Signature Version 4."""
    now, nothing = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256().hexdigest()
    host, scope = place.netloc.rpartition("@")[2], f"{now[:8]}/{REGION}/s3/aws4_request"
    signed = "host;x-amz-content-sha256;x-amz-date"
    headers = f"host:{host}\nx-amz-content-sha256:{nothing}\nx-amz-date:{now}\n"
    request = f"GET\n{path}\nuploads=\n{headers}\n{signed}\n{nothing}"
    key = f"AWS4{place.password}".encode()
    for part in (
        *scope.split("/"),
        f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}",
    ):
        key = hmac.digest(key, part.encode(), "sha256")
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={place.username}/{scope}, SignedHeaders={signed}, Signature={key.hex()}"
    )
    return {"Authorization": authorization, "x-amz-content-sha256": nothing, "x-amz-date": now}
