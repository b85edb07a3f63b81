"""Kill -9 at the system calls of an upload, a delete and a bulk delete: each is then done wholly, or not at all."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from application.reconcile import WHATEVER_IT_FINDS, Wrong
from infrastructure.clock import utc_now
from infrastructure.container import Container, jobs
from infrastructure.jobs import Pace
from infrastructure.lifecycle import closing
from infrastructure.pgqueuer.worker import PgqueuerWorker
from tests.e2e.started import SECRET, migrate
from tests.examples import stored_user
from tests.faults.audit import Findings, audit, facts_in, jobs_in
from tests.faults.killing import Inside, Mortals, Point, Strace, Way, can_trace
from tests.faults.trials import NewTrial, Place, Trial, delete, delete_in_bulk, settings_from, upload

KILLS = 40  # of each operation; with --full at each of its about 150 points
SPARE = 20  # a point is not reached each time
LEASE = timedelta(seconds=1)
SOON = 60  # for what is to happen at once


@dataclass
class Sweep:
    """Of one operation."""

    new: NewTrial
    points: list[Point] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    killed: int = 0

    async def look_for_points(self, place: Place, way: Way, mortals: Mortals) -> None:
        """Those that were there twice, in order of chance, each kind of call first: all, or enough of them."""
        async with place.opened() as container:
            self.trials = [await self.new(container, place) for _ in range(2)]
        first, second = (way.points(mortals, trial.order) for trial in self.trials)
        place.ledger.facts |= {fact: {trial.makes} for trial in self.trials for fact in trial.facts}
        found = sorted(set(first) & set(second), key=lambda point: random.random())
        kinds = list({(point.thread, point.call): point for point in found}.values())
        self.points = kinds + [point for point in found if point not in kinds]

    async def prepare(self, place: Place, *, full: bool) -> None:
        if not full:
            self.points = (self.points * KILLS)[: KILLS + SPARE]
        async with place.opened() as container:
            ready = [await self.new(container, place) for _ in self.points]
        place.ledger.facts |= {fact: {not trial.makes} for trial in ready for fact in trial.facts}
        self.trials += ready

    def kill(self, place: Place, way: Way, mortals: Mortals) -> None:
        """At the next point."""
        trial, point = self.trials[-len(self.points)], self.points.pop(0)
        place.ledger.facts |= {fact: {True, False} for fact in trial.facts}
        life = way.kill(mortals, trial.order, point)
        if life.acknowledged:
            place.ledger.facts |= {fact: {trial.makes} for fact in trial.facts}
        self.killed += life.killed


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with _database(request, tmp_path) as url:
        folder = tmp_path / "files"
        env = {"TASKWELL_DATABASE_URL": url, "TASKWELL_STORAGE_URL": f"file:{folder}", **SECRET}
        migrate(tmp_path, env)
        container = Container(settings=settings_from(env))
        async with closing(container):
            user = await stored_user(container.work())
        yield Place(env, folder, user)


async def test_what_is_killed_was_done_wholly_or_not_at_all(
    place: Place, tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    way: Way = Strace(tmp_path) if can_trace() else Inside()
    sweeps = [Sweep(upload), Sweep(delete), Sweep(delete_in_bulk)]
    full = pytestconfig.getoption("--full")
    with Mortals(tmp_path, place.env) as mortals:
        for sweep in sweeps:
            await sweep.look_for_points(place, way, mortals)
            await sweep.prepare(place, full=full)
        while left := [sweep for sweep in sweeps if sweep.points and (full or sweep.killed < KILLS)]:
            random.choice(left).kill(place, way, mortals)
    with capsys.disabled():
        print(f"\nkilled {way.name}:", *(f"{sweep.new.__name__} {sweep.killed}" for sweep in sweeps))  # noqa: T201
    assert min(sweep.killed for sweep in sweeps) >= KILLS
    async with place.opened() as container:
        await _do_jobs(container)
        found = await audit(container.engines(), place.folder)
        assert replace(found, stray=[], reserved=[]).wrong() == {}  # the rest is for the reconciler
        await _reconcile(container, found)
        assert (await audit(container.engines(), place.folder)).wrong() == {}
        facts = await facts_in(container.engines())
    assert place.ledger.wrong(facts) == []
    trials = [trial for sweep in sweeps for trial in sweep.trials]
    assert [trial.order for trial in trials if len({fact in facts for fact in trial.facts}) > 1] == []


async def _do_jobs(container: Container) -> None:
    """What the dead have left to do is taken over; sooner than usual, as nobody alive is to be disturbed."""
    stop, settings, engines = asyncio.Event(), container.settings(), container.engines()
    runner = container.job_runner()
    if not settings.embedded:
        runner = PgqueuerWorker(settings.database_url, jobs(container), lease=LEASE, pace=Pace(LEASE))
    running = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(SOON):
        while await jobs_in(engines):  # noqa: ASYNC110  a database sets no event
            await asyncio.sleep(0.1)
    stop.set()
    await running


async def _reconcile(container: Container, found: Findings) -> None:
    """As it is done later, when nothing that is under way can be so young."""
    reconcile = replace(container.reconcile_files(), clock=lambda: utc_now() + timedelta(hours=1))
    mended = {
        kind: wrong.mended for kind, wrong in (await reconcile(belief=WHATEVER_IT_FINDS)).wrong.items() if wrong.total
    }
    assert mended == {Wrong.STRAY: len(found.stray), Wrong.ABANDONED: len(found.reserved)}


@asynccontextmanager
async def _database(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'taskwell.db'}"
        return
    async with request.getfixturevalue("new_postgres_database")() as url:
        yield url
