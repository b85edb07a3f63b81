"""Job queues as a unit of work hands them out: none in a read, in a write one that notices whether there is work."""

from typing import Never, ParamSpec

from application.ports import Job, JobQueue

P = ParamSpec("P")


class NoJobs:
    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> Never:
        raise RuntimeError("a job needs work.write()")


class NoticedJobs:
    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.enqueued = False

    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        self.enqueued = True
        await self._queue.enqueue(job, *args, **kwargs)
