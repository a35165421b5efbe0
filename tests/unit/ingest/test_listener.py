"""Connections are bounded, shared fairly, and given up when the other side does not go on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from perennial.ingest.listener import Listener
from perennial.ingest.tls import OwnCertificate


async def _answer(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * int(request.query.get("size", "2")))


class Served:
    def __init__(self, listener: Listener, bundle: str) -> None:
        self.listener = listener
        self._context = ssl.create_default_context(cadata=bundle)

    async def connect(self, address: str = "127.0.0.1", *, tls: bool = True) -> asyncio.StreamWriter:
        secure = {"ssl": self._context, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.listener.port,
            local_addr=(address, 0),
            **secure,  # type: ignore[arg-type]
        )
        writer.reader = reader  # type: ignore[attr-defined]
        return writer


@asynccontextmanager
async def listening(connections: int = 4, **settings: Any) -> AsyncIterator[Served]:
    app = web.Application()
    app.router.add_get("/", _answer)
    certificate = OwnCertificate(["localhost"], lambda: datetime.now(UTC))
    listener = Listener(app, certificate.context, "127.0.0.1", 0, drain=1, connections=connections, **settings)
    await listener.start()
    try:
        yield Served(listener, certificate.authorities())
    finally:
        await listener.stop()


async def alive(writer: asyncio.StreamWriter) -> bool:
    """Whether a request is answered."""
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer: bytes = await writer.reader.readuntil(b"xx")  # type: ignore[attr-defined]
    except (OSError, asyncio.IncompleteReadError):
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def hung_up(writer: asyncio.StreamWriter, seconds: float = 3.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return not await writer.reader.read(1)  # type: ignore[attr-defined]
    except TimeoutError:
        return False
    except OSError:
        return True


async def test_who_has_most_connections_gives_up_the_latest() -> None:
    async with listening(4) as served:
        greedy = [await served.connect("127.0.0.2") for _ in range(4)]
        assert [await alive(one) for one in greedy] == [True] * 4
        others = [await served.connect(address) for address in ("127.0.0.3", "127.0.0.4")]
        assert [await alive(one) for one in (*others, *greedy)] == [True, True, True, True, False, False]
        with pytest.raises(ConnectionError):
            await served.connect("127.0.0.2")
        assert await alive(others[0])


async def test_unfinished_handshakes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perennial.ingest.listener._HANDSHAKE_TIME", 1.0)
    async with listening(4) as served:
        silent = [await served.connect("127.0.0.2", tls=False) for _ in range(10)]
        await asyncio.sleep(0.1)
        assert [await hung_up(one, 0.1) for one in silent] == [False] * 4 + [True] * 6
        assert await alive(await served.connect("127.0.0.3"))
        assert await hung_up(silent[0], 0.1)
        assert all([await hung_up(one) for one in silent])


async def test_new_connections_of_an_address_are_counted() -> None:
    async with listening(500, clock=lambda: 0.0) as served:
        flood = [await served.connect("127.0.0.2", tls=False) for _ in range(110)]
        assert all([await hung_up(one) for one in flood[100:]])
        assert not any([await hung_up(one, 0.01) for one in flood[:100]])
        assert await alive(await served.connect("127.0.0.3"))


async def test_who_takes_no_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perennial.ingest.listener._ANSWER_TIME", 0.3)
    async with listening() as served:
        writer = await served.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /?size=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
        await asyncio.sleep(1)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        taken = 0
        try:
            while part := await writer.reader.read(2**20):  # type: ignore[attr-defined]
                taken += len(part)
        except ConnectionError:
            taken = 0
        assert taken < 30_000_000


async def test_who_does_not_finish_the_head_of_a_request_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perennial.ingest.listener._KEEP_ALIVE", 0.5)
    async with listening() as served:
        writer = await served.connect()
        for part in b"GET / HTTP/1.1\r\n":
            writer.write(bytes([part]))
            await asyncio.sleep(0.05)
        assert await hung_up(writer)


async def test_it_stops_with_handshakes_under_way() -> None:
    async with listening() as served:
        with socket.create_connection(("127.0.0.1", served.listener.port)):
            await asyncio.sleep(0.1)
            async with asyncio.timeout(3):
                await served.listener.stop()
