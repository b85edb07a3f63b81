"""The `taskwell` program."""

import asyncio
import json

import typer

from infrastructure.settings import Settings
from interfaces.cli import doctor, files, jobs
from interfaces.cli.schema import need_schema_unless_away
from interfaces.cli.told import read_settings, refuse, told

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
cli.add_typer(jobs.group, name="jobs")
cli.add_typer(files.group, name="files")
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
    if not settings.embedded:
        need_schema_unless_away(settings)
    run(settings)


@cli.command(help="Run the background jobs, on as many hosts as there are.")
def worker() -> None:
    from interfaces.cli.work import work  # noqa: PLC0415 # likewise

    settings = read_settings()
    if settings.embedded:
        refuse("worker needs TASKWELL_DATABASE_URL to name a PostgreSQL database; with SQLite `serve` runs the jobs")
    need_schema_unless_away(settings)
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
