"""What tests know of an S3 service by its URL, `http://key:secret@host/bucket/prefix`."""

import re
from urllib.parse import SplitResult, urlsplit

from obstore.store import S3Store
from pydantic import SecretStr

from infrastructure.s3 import S3Storage
from infrastructure.s3_bucket import Bucket

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
    return S3Storage(bucket_at(url))


def bucket_at(url: str) -> Bucket:
    place, endpoint_url, region, key_id, secret = settings_of(url).values()
    return Bucket(place, endpoint_url, region, key_id, SecretStr(secret))


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
    bucket = bucket_at(url)
    keys = re.findall(r"<Key>([^<]+)</Key>", bucket.ask("uploads").decode())
    return [key.removeprefix(f"{bucket.prefix}/") for key in keys if key.startswith(f"{bucket.prefix}/")]
