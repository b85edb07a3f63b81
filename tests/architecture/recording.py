"""A proxy before PostgreSQL or Redis that notes each round trip of its clients, in the protocol's own terms."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

SESSION = (196608).to_bytes(4)  # protocol 3.0; before it a client asks for TLS, and is refused
TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?!OF\b|UNNEST\b)(\w+)", re.IGNORECASE)
CHUNK = 64 * 1024

Messages = AsyncIterator[tuple[bytes, str]]  # each with the round trip that it ends, if it ends one


@asynccontextmanager
async def recording(url: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Another URL of the same database, and all round trips to it, in order: of statements the verb and the tables."""
    server = urlsplit(url)
    messages_in = redis if server.scheme == "redis" else postgresql
    trips: list[str] = []
    connections: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(server.hostname, server.port)
        answers = asyncio.create_task(forward(there, writer))
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client is gone
            async for message, trip in messages_in(reader):
                trips.extend([trip] if trip else [])
                back.write(message)
        back.close()
        await answers

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(connect(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as proxy:
        host, port = proxy.sockets[0].getsockname()
        login = f"{server.netloc.rpartition('@')[0]}@" if "@" in server.netloc else ""
        yield server._replace(netloc=f"{login}{host}:{port}").geturl(), trips
        await asyncio.gather(*connections)


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
    writer.close()


async def postgresql(reader: asyncio.StreamReader) -> Messages:
    kind, prepared, asked = b"", dict[bytes, str](), list[str]()
    while kind != SESSION:
        size, kind = await reader.readexactly(4), await reader.readexactly(4)
        yield size + kind + await reader.readexactly(int.from_bytes(size) - 8), ""
    while True:
        kind, size = await reader.readexactly(1), await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(size) - 4)
        match kind, body.split(b"\0"):
            case b"Q", [statement, *_]:
                asked.append(summary(statement.decode()))
            case b"P", [name, statement, *_]:  # parse
                prepared[name] = summary(statement.decode())
                asked.append(f"PREPARE {prepared[name]}")
            case b"B", [_, name, *_]:  # bind, and execute
                asked.append(prepared[name])
        if kind in {b"Q", b"S", b"H"}:  # query, sync, flush: now the client waits for an answer
            yield kind + size + body, " + ".join(asked) or "SYNC"
            asked.clear()
        else:
            yield kind + size + body, ""


async def redis(reader: asyncio.StreamReader) -> Messages:
    while True:
        count = await reader.readuntil(b"\r\n")
        sizes, words = [], []
        for _ in range(int(count[1:])):
            sizes.append(await reader.readuntil(b"\r\n"))
            words.append(await reader.readexactly(int(sizes[-1][1:]) + 2))
        message = count + b"".join(size + word for size, word in zip(sizes, words, strict=True))
        yield message, words[0].decode().strip().upper()


def summary(statement: str) -> str:
    """The verb, the tables in the order of the text, and whether rows are locked."""
    verb = statement.split(maxsplit=1)[0].strip(";").upper()
    tables = ", ".join(dict.fromkeys(TABLE.findall(statement)))
    return " ".join(filter(None, [verb, tables, "FOR UPDATE" if "FOR UPDATE" in statement else ""]))
