"""`taskwell jobs`: see the background jobs that are stored, and what to do with those that are dead."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from application.jobs import JobRecord, JobRecords, JobState
from interfaces.cli.schema import need_schema
from interfaces.cli.told import read_settings, refuse, say, show_table, told

T = TypeVar("T")

LARGEST_ID = 2**63 - 1
LONGEST_DAYS = 36_500
COLUMNS = ("id", "name", "state", "attempts", "enqueued_at", "due_at", "error")
JobId = Annotated[int, typer.Argument(min=1, max=LARGEST_ID)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, and nothing else.")]

group = typer.Typer(no_args_is_help=True, help="See, retry and forget background jobs.")


@group.command("list", help="The jobs that wait, run or lie dead, oldest first.")
def list_jobs(
    state: JobState | None = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    as_json: AsJson = False,
) -> None:
    jobs = [_shown(job) for job in _run(lambda records: records.page(state=state, limit=limit))]
    if as_json:
        typer.echo(json.dumps([{name: job[name] for name in (*COLUMNS, "priority")} for job in jobs], indent=2))
    else:
        show_table(COLUMNS, [[_text(job[name]) for name in COLUMNS] for job in jobs])


@group.command(help="One job, with its arguments, which may hold what users wrote.")
def show(job_id: JobId, as_json: AsJson = False) -> None:
    job = _run(lambda records: records.find(job_id))
    if job is None:
        refuse(f"there is no job {job_id}; done jobs are forgotten")
    if as_json:
        typer.echo(json.dumps(_shown(job) | {"arguments": json.loads(job.arguments)}, indent=2))
    else:
        show_table(("field", "value"), [(name, _text(value)) for name, value in _shown(job).items()])


@group.command(help="Send dead jobs back to the queue, with all their attempts.")
def retry(
    job_ids: Annotated[list[int] | None, typer.Argument(min=1, max=LARGEST_ID)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
) -> None:
    if every == bool(job_ids):
        raise typer.BadParameter("name jobs, or --all")
    typer.echo(f"{_run(lambda records: _retry(records, job_ids))} back in the queue")


@group.command(help="Forget dead jobs.")
def purge(
    older_than: Annotated[
        int, typer.Option(metavar="DAYS", min=0, max=LONGEST_DAYS, help="Only those that died before.")
    ] = 0,
) -> None:
    before = datetime.now().astimezone() - timedelta(days=older_than)
    typer.echo(f"{_run(lambda records: records.purge(dead_before=before))} forgotten")


async def _retry(records: JobRecords, job_ids: list[int] | None) -> int:
    """All that are named, or none."""
    found = {job_id: await records.find(job_id) for job_id in job_ids or ()}
    wrong = {job_id: job for job_id, job in found.items() if job is None or job.state != "dead"}
    for job_id, job in wrong.items():
        say(f"job {job_id} is not dead: it is {job.state}" if job else f"there is no job {job_id}")
    if wrong:
        refuse("no job was sent back")
    return await records.retry(job_ids)


def _run(act: Callable[[JobRecords], Awaitable[T]]) -> T:
    from infrastructure.container import Container  # noqa: PLC0415 # other commands need none of it
    from infrastructure.lifecycle import closing  # noqa: PLC0415 # likewise

    settings = read_settings()
    if settings.database == "memory":
        refuse("with TASKWELL_DATABASE_URL=memory: only the serving process knows its jobs")
    container = Container(settings=settings)

    async def run() -> T:
        async with closing(container):
            await need_schema(container)
            return await act(container.job_records())

    with told():
        return asyncio.run(run())


def _shown(job: JobRecord) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in asdict(job).items()
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)
