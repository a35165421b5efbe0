"""The TLS port: so many connections at a time, shared fairly, and what is in flight is finished before it closes."""

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from perennial.ingest.limits import RateLimit

logger = logging.getLogger(__name__)
# What aiohttp has to say of requests. That one was no HTTP is the client's to know, and not worth a traceback of ours.
_requests = logging.getLogger(f"{__name__}.requests")
_requests.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))

_CONNECTIONS = 512
# New ones per second of an address: each costs a handshake before it can be told anything.
_PER_ADDRESS = 100
_BACKLOG = 1024
_HANDSHAKE_TIME = 10.0
_SHUTDOWN_TIME = 5.0
# Also the time that a client has for the head of a request.
_KEEP_ALIVE = 20.0
# A client that sends requests and takes no answers holds nothing for longer.
_ANSWER_TIME = 10.0
# After this long without file descriptors or memory the next connection is tried.
_EXHAUSTED = 1.0


class Listener:
    """Serves an application over TLS. `drain` is the seconds that requests in flight get when it stops; `clock` goes by
    monotonic seconds.

    When there are too many, the address with the most gives one up for a newcomer that has less.
    """

    def __init__(
        self,
        app: web.Application,
        context: ssl.SSLContext,
        host: str,
        port: int,
        *,
        drain: float,
        connections: int = _CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._address = host, port
        self._most = connections
        self._rate = RateLimit(_PER_ADDRESS, clock=clock)
        app.middlewares.insert(0, _answering)
        # Bodies are bounded as they come: what is compressed is refused, so it is never inflated.
        # What was asked by a client that hung up is not done.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_requests,
            keepalive_timeout=_KEEP_ALIVE,
            shutdown_timeout=drain,
            auto_decompress=False,
            handler_cancellation=True,
        )
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: dict[asyncio.Task[None], str] = {}

    @property
    def port(self) -> int:
        """The port, which matters when 0 was asked for."""
        assert self._socket
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Listen. OSError when the address cannot be had."""
        await self._runner.setup()
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.create_server(self._address, family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._socket), name="accept")

    async def stop(self) -> None:
        """Take no more connections, and return when the requests in flight are answered."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket:
            self._socket.close()
        await self._runner.cleanup()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                logger.warning("cannot take a connection: %s", error)
                await asyncio.sleep(_EXHAUSTED)
                continue
            if self._admits(address[0]):
                task = asyncio.create_task(self._shake_hands(connection))
                self._handshakes[task] = address[0]
                task.add_done_callback(self._handshakes.pop)
            else:
                # Nothing can be said before the handshake, which is what must not be paid for.
                connection.close()
            # A burst of connections must not keep the loop from what else there is to do.
            await asyncio.sleep(0)

    def _admits(self, address: str) -> bool:
        if self._rate.wait(address):
            return False
        server = self._runner.server
        assert server
        established = [(one.peername[0], one) for one in server.connections if one.peername]
        held = Counter([*self._handshakes.values(), *(owner for owner, _ in established)])
        if held.total() < self._most:
            return True
        greedy, most = held.most_common(1)[0]
        if held[address] + 1 >= most:
            return False
        logger.debug("too many connections: %s with %d of them gives up one", greedy, most)
        for task, owner in self._handshakes.items():
            if owner == greedy:
                return task.cancel()
        # The youngest: behind one address there may be many, and who was there before a flood is not part of it.
        youngest = next(one for owner, one in reversed(established) if owner == greedy)
        if youngest.transport:
            youngest.transport.abort()
        return True

    async def _shake_hands(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_TIME,
                ssl_shutdown_timeout=_SHUTDOWN_TIME,
            )
        except (OSError, asyncio.CancelledError) as error:
            connection.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            logger.debug("no handshake: %s", error)

    def _protocol(self) -> web.RequestHandler:
        server = self._runner.server
        assert server
        protocol = server()
        # aiohttp makes them itself, and has no other place to say how errors are told.
        protocol.__class__ = _Discreet
        return protocol


class _Discreet(web.RequestHandler):
    """Answers what is no HTTP without a word of it: it may hold a token, and who logs answers would log that."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """As aiohttp's, without its message."""
        return super().handle_error(request, status, exc, "this is no request of HTTP" if status == 400 else None)


@web.middleware
async def _answering(request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> web.StreamResponse:
    """Write the answer here, where it can be given up."""
    response: web.StreamResponse = await handler(request)
    try:
        async with asyncio.timeout(_ANSWER_TIME):
            await response.prepare(request)
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        # Who hung up meanwhile is no error of ours, either.
        if request.transport:
            request.transport.abort()
    return response
