"""The crash demonstration itself: it finds nothing wrong, and it would say so."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests import crash
from tests.crash import Tally

KEPT = Tally(
    kills=2,
    acknowledged=10,
    found=10,
    unexplained=0,
    mails_due=4,
    mails_sent=4,
    mails_sent_twice=1,
    mails_under_two_ids=0,
    wrong_numbers=0,
    stray_bytes=0,
)


async def test_after_a_few_kills_all_is_there_and_nothing_else(tmp_path: Path) -> None:
    tally = await crash.crash(tmp_path, kills=3)
    assert tally.kept, tally
    assert tally.kills == 3
    assert tally.found == tally.acknowledged > 100
    assert tally.mails_sent == tally.mails_due > 50


@pytest.mark.parametrize(
    "flaw",
    [
        {"found": 9},
        {"unexplained": 1},
        {"mails_sent": 3},
        {"mails_under_two_ids": 1},
        {"wrong_numbers": 1},
        {"stray_bytes": 1},
    ],
    ids=lambda flaw: next(iter(flaw)),
)
def test_each_flaw_is_told_and_ends_with_1(
    flaw: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def flawed(_: Path) -> Tally:
        return replace(KEPT, **flaw)

    monkeypatch.setattr(crash, "crash", flawed)
    with pytest.raises(SystemExit) as ended:
        crash.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line != str(KEPT)


def test_a_mail_that_is_repeated_under_its_id_is_no_flaw() -> None:
    assert KEPT.kept
    assert str(KEPT) == "2 kills, 10 acknowledged, 10 found, 4 mails due, 4 sent, 1 sent twice, 0 stray bytes"
