"""The three features of the tutorials, as somebody who follows them sees them."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import Api, assert_problem, start


@pytest.fixture
async def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.chdir(tmp_path)  # the log is written beneath the working directory
    async with start() as api:
        yield api


async def test_cached_data_is_slow_once(examples: Api) -> None:
    started = time.monotonic()
    first = await examples.client.get("/cached-data")
    computed = time.monotonic()
    again = [await examples.client.get("/cached-data") for _ in range(3)]
    assert computed - started >= 1.9
    assert time.monotonic() - computed < 1.9  # all three together
    assert (first.status_code, first.json()["detail"]) == (200, "This is some cached data")
    assert abs(first.json()["timestamp"] - time.time()) < 60
    assert [answer.json() for answer in again] == [first.json()] * 3
    assert [answer.headers["X-Cache"] for answer in (first, *again)] == ["MISS", "HIT", "HIT", "HIT"]


async def test_five_pass_and_the_sixth_does_not(examples: Api) -> None:
    answers = [await examples.client.get("/rate-limited") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert answers[0].json() == {"detail": "This endpoint is rate-limited."}
    assert_problem(answers[5], 429, "rate-limit-exceeded")
    assert answers[5].json()["detail"] == "Rate limit exceeded: 5 per 1 minute"
    assert (await examples.client.get("/cached-data?nope")).status_code == 422  # another budget


async def test_each_background_task_writes_a_line(examples: Api, tmp_path: Path) -> None:
    for lines in (1, 2):
        answer = await examples.client.post("/background-task")
        assert (answer.status_code, answer.json()) == (202, {"message": "Background task has been initiated."})
        log = (tmp_path / "var/log.txt").read_text()
        assert log == "Task started: Processing data in the background.\n" * lines


async def test_they_can_be_left_out() -> None:
    async with start(example_routes=False) as api:
        for path in ("/cached-data", "/rate-limited", "/background-task"):
            assert_problem(await api.client.get(path), 404, "not-found")
