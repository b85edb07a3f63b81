"""What the settings refuse where files on S3 are asked for, each in a sentence."""

from typing import Any

import pytest
from pydantic import ValidationError

from infrastructure.settings import Settings

PLACE: dict[str, Any] = {"_env_file": None, "storage_url": "s3://files/of/ours"}
KEYS: dict[str, Any] = {"s3_access_key_id": "key", "s3_secret_access_key": "not to be seen"}


def refusal(settings: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**settings)
    return "\n".join(error["msg"] for error in refused.value.errors())


def test_a_bucket_and_keys_are_enough() -> None:
    settings = Settings(**PLACE, **KEYS)
    assert (settings.storage, settings.s3_region) == ("s3", "us-east-1")
    assert "not to be seen" not in repr(settings)


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["s3_access_key_id"], "TASKWELL_S3_ACCESS_KEY_ID"),
        (["s3_secret_access_key"], "TASKWELL_S3_SECRET_ACCESS_KEY"),
        (list(KEYS), "TASKWELL_S3_ACCESS_KEY_ID and TASKWELL_S3_SECRET_ACCESS_KEY"),
    ],
)
def test_what_is_missing_is_named(missing: list[str], named: str) -> None:
    given = {name: value for name, value in KEYS.items() if name not in missing}
    assert refusal({**PLACE, **given}) == f"Value error, TASKWELL_STORAGE_URL=s3://files/of/ours needs {named}"


def test_the_extra_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.settings.find_spec", lambda _: None)
    assert "needs the extra s3" in refusal({**PLACE, **KEYS})
    assert Settings(**{**PLACE, "storage_url": "memory:"}).storage == "memory"


@pytest.mark.parametrize(
    "url", ["s3:", "s3:files", "s3://", "s3:///files", "s3://Files/a", "s3://key:secret@files", "s3://files?a"]
)
def test_a_place_that_is_none_is_refused(url: str) -> None:
    assert "must be file: and a folder" in refusal({**PLACE, **KEYS, "storage_url": url})


@pytest.mark.parametrize("url", ["s3.example.org", "ftp://s3.example.org", "https://s3.example.org/path"])
def test_an_endpoint_that_is_none_is_refused(url: str) -> None:
    assert refusal({**PLACE, **KEYS, "s3_endpoint_url": url})
