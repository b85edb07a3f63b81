"""Chunks as they come from a sender, gathered to what is worth a trip to a thread."""

from collections.abc import AsyncGenerator, AsyncIterable


async def batches(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of at least `size`, but for the last one."""
    batch: list[bytes] = []
    gathered = 0
    async for chunk in chunks:
        batch.append(chunk)
        gathered += len(chunk)
        if gathered >= size:
            yield b"".join(batch)
            batch, gathered = [], 0
    if gathered:
        yield b"".join(batch)
