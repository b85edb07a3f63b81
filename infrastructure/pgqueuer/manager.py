"""pgqueuer's manager, taught that jobs of one kind, slow or stuck, must not delay those of another."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

from pgqueuer import Job, QueueManager
from pgqueuer.domain.models import Context
from pgqueuer.domain.types import Channel, JobId, QueueEntrypoint
from typing_extensions import override

from infrastructure.jobs import SLOTS
from infrastructure.pgqueuer.queries import JobQueries
from infrastructure.pgqueuer.schema import SETTINGS

LOST_CALL = timedelta(milliseconds=20)  # until a job is looked for whose call came while others were dispatched


class SlotManager(QueueManager):
    """Each kind has slots of its own in this worker, and is asked for only while one of them is free.

    pgqueuer's limit for a kind would count over all workers, and its limit for a worker over all kinds.
    """

    def __init__(self, queries: JobQueries, *, wake: Callable[[], None]) -> None:
        super().__init__(queries, Channel(SETTINGS.channel))
        self._queries = queries
        self._wake = wake
        self._kinds: dict[JobId, QueueEntrypoint] = {}
        self._woken = False  # since the last look
        self.min_dequeue_poll_interval = LOST_CALL

    @override
    async def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[Job, None]:
        """One look, not until there is nothing more: what it leaves has no slot."""
        if self.shutdown.is_set():
            return
        slots = self._free_slots()
        jobs = await self._queries.claim(slots, self.queue_manager_id, lease=heartbeat_timeout) if slots else []
        for job in jobs:
            self._kinds[job.id] = job.entrypoint
            yield job  # for each of these pgqueuer forgets one call to look
        self._woken = False

    @override
    def forget_job(self, job_id: JobId, context: Context, task: asyncio.Task[None]) -> None:
        """pgqueuer calls this once a job is over, however it ended."""
        super().forget_job(job_id, context, task)
        if not self._woken:
            self._woken = True
            self._wake()

    @override
    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        """What waits for a slot is not worth looking for."""
        slots = self._free_slots()
        due_in = await self._queries.next_due_in(slots) if slots else None
        return dequeue_timeout if due_in is None else min(dequeue_timeout, max(due_in, self.min_dequeue_poll_interval))

    def _free_slots(self) -> Counter[QueueEntrypoint]:
        """Of each kind that has any."""
        self._kinds = {job_id: kind for job_id, kind in self._kinds.items() if job_id in self.job_context}
        return Counter(dict.fromkeys(self.entrypoint_registry, SLOTS)) - Counter(self._kinds.values())
