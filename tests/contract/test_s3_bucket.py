"""Whether a bucket ends the uploads that a crash leaves dangling, on a real server."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from application.ports import StorageAway
from infrastructure.s3_bucket import Bucket
from tests.s3 import bucket_at, make_bucket

RULE = """<Rule><ID>{name}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>{status}</Status>
<{action}</Rule>"""
ABORT = "AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
EXPIRE = "Expiration><Days>1</Days></Expiration>"


@pytest.fixture(scope="module")
def bucket(s3_url: str) -> Bucket:
    """Not the one of the other tests: rules are for all who use a bucket."""
    url = urlsplit(s3_url)._replace(path=f"/{uuid4().hex}/the/files").geturl()
    make_bucket(url)
    return bucket_at(url)


def rule(action: str = ABORT, *, prefix: str = "", status: str = "Enabled") -> str:
    return RULE.format(name=uuid4().hex, prefix=prefix, status=status, action=action)


async def test_without_rules_nothing_ends_them(s3_url: str) -> None:
    assert not await bucket_at(s3_url).ends_dangling_uploads()


@pytest.mark.parametrize(
    ("rules", "ends"),
    [
        ([rule()], True),
        ([rule(prefix="the/files/")], True),
        ([rule(prefix="the/f")], True),
        ([rule(EXPIRE), rule()], True),
        ([rule(prefix="the/files/of/others/")], False),
        ([rule(prefix="other/")], False),
        ([rule(status="Disabled")], False),
        ([rule(EXPIRE)], False),
    ],
)
async def test_an_enabled_rule_for_all_of_ours_ends_them(bucket: Bucket, rules: list[str], ends: bool) -> None:
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    lifecycle = f'<LifecycleConfiguration xmlns="{namespace}">{"".join(rules)}</LifecycleConfiguration>'
    await asyncio.to_thread(bucket.ask, "lifecycle", lifecycle.encode())
    assert await bucket.ends_dangling_uploads() == ends


async def test_who_may_not_ask_or_gets_no_answer_does_not_know(s3_url: str) -> None:
    place = urlsplit(s3_url)
    unknown = place._replace(path=f"/{uuid4().hex}")
    refused = place._replace(netloc=place.netloc.replace("taskwell:", "taskwell:not"))
    nobody = place._replace(netloc="taskwell:secret@127.0.0.1:9")
    for wrong in (unknown, refused, nobody):
        with pytest.raises(StorageAway):
            await bucket_at(wrong.geturl()).ends_dangling_uploads()
