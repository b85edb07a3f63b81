"""Passwords with argon2id: 19 MiB, t=2, p=1 (OWASP), in threads of its own so that a storm stays bounded."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
AT_ONCE = 2  # hashes at the same time in this process: 38 MiB and two cores at most; the others wait


class Argon2PasswordHasher:
    def __init__(self) -> None:
        self._hashes = PasswordHash([Argon2Hasher(memory_cost=MEMORY_KIB, time_cost=PASSES, parallelism=LANES)])
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._nobody = self._hashes.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hashes.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        against = password_hash or self._nobody
        right = await asyncio.get_running_loop().run_in_executor(self._threads, self._hashes.verify, password, against)
        return right and password_hash is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
