"""The `taskwell` program."""

import asyncio
import json
from typing import Annotated

import typer

from infrastructure.settings import Settings
from interfaces.cli import doctor, jobs
from interfaces.cli.told import read_settings, refuse, told

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
cli.add_typer(jobs.group, name="jobs")
cli.command(help="Examine every configured part: what is wrong, and how to mend it.")(doctor.doctor)


@cli.callback(help="Tasks with file attachments. Settings come from TASKWELL_* variables or .env; see the README.")
def taskwell() -> None:
    pass


@cli.command(help="Serve the HTTP interface (and, in embedded mode, migrate first and run the background jobs too).")
def serve() -> None:
    from infrastructure.lifecycle import owning  # noqa: PLC0415 # each command imports only what it needs
    from interfaces.cli.serve import serve as run  # noqa: PLC0415 # likewise

    settings = read_settings()
    with told(), owning(settings):  # the application takes it again: a refusal is better told before it starts
        pass
    run(settings)


@cli.command(help="Run the background jobs, on as many hosts as there are.")
def worker() -> None:
    from interfaces.cli.work import work  # noqa: PLC0415 # likewise

    settings = read_settings()
    if settings.embedded:
        refuse("worker needs TASKWELL_DATABASE_URL to name a PostgreSQL database; with SQLite `serve` runs the jobs")
    asyncio.run(work(settings))


@cli.command(help="Bring the database to the schema of this version.")
def migrate() -> None:
    from infrastructure.lifecycle import migrate as upgrade  # noqa: PLC0415 # likewise
    from infrastructure.lifecycle import owning  # noqa: PLC0415 # likewise

    settings = read_settings()
    if settings.database == "memory":
        refuse("there is nothing to migrate: TASKWELL_DATABASE_URL=memory: begins empty each time")
    with told(), owning(settings):
        asyncio.run(upgrade(settings))
    typer.echo("The database is at the schema of this version.")


files = typer.Typer(no_args_is_help=True, help="Look after the stored files.")
cli.add_typer(files, name="files")


@files.command(help="Compare stored bytes, records and counts. Exit 1 when something is wrong and left as it is.")
def reconcile(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend it; without this, nothing is changed.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    from interfaces.cli.files import as_json, as_text  # noqa: PLC0415 # likewise
    from interfaces.cli.files import reconcile as run  # noqa: PLC0415 # likewise

    settings = read_settings()
    if settings.database == "memory" or settings.storage == "memory":
        refuse("there is nothing to reconcile: what is in memory is gone with its process")
    if settings.database == "sqlite" and not settings.lock_file.with_suffix("").exists():
        refuse("there is no database yet: `taskwell serve` makes it")
    with told():  # it may run beside the service: see docs/adr/0011-the-reconciler-asks-before-it-takes.md
        findings = asyncio.run(run(settings, fix=fix))
    typer.echo(as_json(findings) if json_ else as_text(findings))
    raise typer.Exit(1 if findings.left else 0)


@cli.command(help="Print the OpenAPI document.")
def openapi() -> None:
    from infrastructure.container import Container  # noqa: PLC0415 # likewise
    from interfaces.http.app import create_app  # noqa: PLC0415 # likewise

    # The document of this version, whatever is set here; nothing is opened for it.
    settings = Settings.model_validate({"database_url": "memory:", "storage_url": "memory:", "example_routes": True})
    typer.echo(json.dumps(create_app(Container(settings=settings)).openapi(), indent=2))


def main() -> None:
    cli()


if __name__ == "__main__":
    main()
