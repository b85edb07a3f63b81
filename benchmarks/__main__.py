"""`python -m benchmarks NAME…`: those benchmarks, or all, one after the other; each says what it measured, and how."""

import asyncio
import os
import sys

from benchmarks import beside, files, get_task, limiter, stats

BENCHMARKS = {
    "get_task": get_task.main,
    "limiter": limiter.main,
    "stats": stats.main,
    "beside": beside.main,
    "files": files.main,
}

names = sys.argv[1:] or list(BENCHMARKS)
if unknown := [name for name in names if name not in BENCHMARKS]:
    sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
for name in names:
    print(f"{name} (load average of the machine: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()})")
    asyncio.run(BENCHMARKS[name]())
