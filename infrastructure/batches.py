"""Chunks as they come from a sender, gathered to what is worth a trip to a thread."""

from collections.abc import AsyncGenerator, AsyncIterable
from time import monotonic

SECONDS = 60  # after which a slow sender's bytes are passed on all the same: a file that is written to is not abandoned


async def batches(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of at least `size`, but for the last one and those of a slow sender."""
    batch: list[bytes] = []
    gathered, began = 0, monotonic()
    async for chunk in chunks:
        batch.append(chunk)
        gathered += len(chunk)
        if gathered >= size or monotonic() - began > SECONDS:
            yield b"".join(batch)
            batch, gathered, began = [], 0, monotonic()
    if gathered:
        yield b"".join(batch)
