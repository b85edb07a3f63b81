"""The object graph: the adapter behind each port, and every use case. The table of contents of the application."""

import asyncio
from datetime import timedelta
from importlib import import_module
from inspect import isclass
from typing import Any

from dependency_injector import containers, providers

from application import accounts, files, health, notices, reconcile, reminders, stats, tasks, upkeep, uploads
from infrastructure.chronicle import LoggedChronicle
from infrastructure.clock import utc_now
from infrastructure.jobs import job_key
from infrastructure.log_notifier import LogNotifier
from infrastructure.settings import Settings


def adapter(place: str, name: str, *args: Any, **kwargs: Any) -> "providers.Singleton[Any]":
    """One that is imported when it is first built: what isn't chosen costs neither memory nor start-up time."""

    def build(*args: Any, **kwargs: Any) -> Any:
        return imported(place, name)(*args, **kwargs)

    return providers.Singleton(build, *args, **kwargs)


def imported(place: str, name: str) -> Any:
    return getattr(import_module(f"infrastructure.{place}"), name)


def use_cases(container: containers.Container) -> dict[type[Any], Any]:
    """Every use case of the application, built, by its class."""
    found = [provider for provider in container.providers.values() if isinstance(provider, providers.Singleton)]
    return {
        one.provides: one()
        for one in found
        if isclass(one.provides) and one.provides.__module__.startswith("application.")
    }


def jobs(container: containers.Container) -> dict[str, Any]:
    """The use cases that can be called later, by the name under which the queue knows them."""
    return {use_case.job_name: made for use_case, made in use_cases(container).items() if hasattr(use_case, "job_name")}


class Container(containers.DeclarativeContainer):
    __self__ = providers.Self()
    settings = providers.Dependency(instance_of=Settings)
    clock = providers.Object(utc_now)

    # --- the outside world
    memory_database = adapter("memory.database", "MemoryDatabase")
    engines = adapter(
        "sql.engine",
        "open_engines",
        settings.provided.database_url,
        pool_size=settings.provided.database_pool_size,
    )
    jobs_enqueued = providers.Singleton(asyncio.Event)
    on_jobs = jobs_enqueued.provided.set
    embedded_queue = providers.Callable(imported, "sql.jobs", "SqlJobQueue")
    pgqueuer_queue = providers.Callable(imported, "pgqueuer.queue", "PgqueuerJobQueue")
    work = providers.Selector(
        settings.provided.database,
        memory=adapter("memory.unit_of_work", "MemoryUnitOfWork", memory_database, on_jobs=on_jobs),
        sqlite=adapter("sql.unit_of_work", "SqlUnitOfWork", engines, jobs=embedded_queue, on_jobs=on_jobs),
        postgresql=adapter("sql.unit_of_work", "SqlUnitOfWork", engines, jobs=pgqueuer_queue, on_jobs=on_jobs),
    )
    known_jobs = providers.Callable(jobs, __self__)
    job_runner = providers.Selector(
        settings.provided.database,
        memory=adapter(
            "runner",
            "JobRunner",
            adapter("memory.jobs", "MemoryJobStore", memory_database),
            known_jobs,
            enqueued=jobs_enqueued,
        ),
        sqlite=adapter(
            "runner", "JobRunner", adapter("sql.jobs", "SqlJobStore", engines), known_jobs, enqueued=jobs_enqueued
        ),
        postgresql=adapter("pgqueuer.worker", "PgqueuerWorker", settings.provided.database_url, known_jobs),
    )
    scheduler = adapter("scheduler", "Scheduler", work, clock)
    embedded_table = adapter("sql.job_records", "EmbeddedJobTable")
    pgqueuer_table = adapter("pgqueuer.records", "PgqueuerJobTable")
    job_records = providers.Selector(
        settings.provided.database,
        memory=adapter("memory.jobs", "MemoryJobRecords", memory_database),
        sqlite=adapter("sql.job_records", "SqlJobRecords", engines, embedded_table),
        postgresql=adapter("sql.job_records", "SqlJobRecords", engines, pgqueuer_table),
    )
    redis = adapter("redis.link", "RedisLink", settings.provided.redis_url)
    cache = providers.Selector(
        settings.provided.cache,
        memory=adapter("memory.cache", "MemoryCache"),
        redis=adapter("redis.cache", "RedisCache", redis),
    )
    memory_rates = adapter("memory.rates", "MemoryRateStore")
    rate_store = providers.Selector(
        settings.provided.cache,
        memory=memory_rates,
        redis=adapter("redis.rates", "RedisRateStore", redis, memory_rates, processes=settings.provided.workers),
    )
    storage = providers.Selector(
        settings.provided.storage,
        memory=adapter("memory.storage", "MemoryStorage", clock),
        filesystem=adapter("filesystem", "FilesystemStorage", settings.provided.files_folder),
        s3=adapter(
            "s3",
            "S3Storage",
            adapter(
                "s3_bucket",
                "Bucket",
                settings.provided.storage_url,
                settings.provided.s3_endpoint_url,
                settings.provided.s3_region,
                settings.provided.s3_access_key_id,
                settings.provided.s3_secret_access_key,
            ),
        ),
    )
    hasher = adapter("argon2", "Argon2PasswordHasher")
    tokens = adapter("jwt", "JwtTokens", settings.provided.secret, clock)
    authenticator = tokens
    notifier = providers.Selector(
        settings.provided.notifier,
        log=providers.Singleton(LogNotifier),
        smtp=adapter(
            "smtp", "SmtpNotifier", settings.provided.smtp_url.get_secret_value.call(), settings.provided.mail_from
        ),
    )

    # --- mails
    mailing = providers.Factory(notices.Mailing, work, notifier, providers.Object(job_key), settings.provided.home)
    mail_welcome = providers.Singleton(notices.MailWelcome, mailing)
    mail_task_created = providers.Singleton(notices.MailTaskCreated, mailing)
    mail_task_completed = providers.Singleton(notices.MailTaskCompleted, mailing)
    mail_task_due = providers.Singleton(notices.MailTaskDue, mailing, clock)
    remind_of_due_tasks = providers.Singleton(reminders.RemindOfDueTasks, work, clock)

    # --- accounts
    register = providers.Singleton(accounts.Register, work, hasher, clock)
    login = providers.Singleton(accounts.Login, work, hasher, tokens)
    get_user = providers.Singleton(accounts.GetUser, work)

    # --- tasks
    create_task = providers.Singleton(tasks.CreateTask, work, clock)
    get_task = providers.Singleton(tasks.GetTask, work)
    list_tasks = providers.Singleton(tasks.ListTasks, work)
    update_task = providers.Singleton(tasks.UpdateTask, work, clock)
    complete_task = providers.Singleton(tasks.CompleteTask, work, clock)
    reopen_task = providers.Singleton(tasks.ReopenTask, work, clock)
    delete_task = providers.Singleton(tasks.DeleteTask, work)
    update_tasks = providers.Singleton(tasks.UpdateTasks, work, clock)
    delete_tasks = providers.Singleton(tasks.DeleteTasks, work)

    # --- statistics
    stats_ttl = providers.Callable(timedelta, seconds=settings.provided.stats_ttl_seconds)
    get_stats = providers.Singleton(stats.GetStats, work, cache, clock, stats_ttl)

    # --- files
    reconcile_min_age = providers.Callable(timedelta, seconds=settings.provided.reconcile_min_age_seconds)
    upload_file = providers.Singleton(
        uploads.UploadFile,
        work,
        storage,
        clock,
        largest=settings.provided.max_file_bytes,
        quota=settings.provided.user_quota_bytes,
        allowed=settings.provided.file_types,
        abandoned_after=reconcile_min_age,
    )
    list_files = providers.Singleton(files.ListFiles, work)
    get_file = providers.Singleton(files.GetFile, work)
    open_file = providers.Singleton(files.OpenFile, work, storage)
    delete_file = providers.Singleton(files.DeleteFile, work)
    remove_file_contents = providers.Singleton(files.RemoveFileContents, storage)
    reconcile_files = providers.Singleton(
        reconcile.ReconcileFiles, work, storage, clock, reconcile_min_age, providers.Singleton(LoggedChronicle)
    )

    # --- operations
    check_health = providers.Singleton(
        health.CheckHealth,
        work,
        storage,
        providers.Selector(settings.provided.cache, memory=providers.Object(None), redis=cache),
    )
    count_jobs = providers.Singleton(health.CountJobs, job_records, clock)
    purge_expired = providers.Singleton(upkeep.PurgeExpired, job_records, clock)
