"""Every benchmark, one after the other; each names what it measured and beside what."""

import asyncio

from benchmarks import get_task

for benchmark in (get_task,):
    asyncio.run(benchmark.main())
