"""The TLS port: so many connections at a time, and what is in flight is finished before it closes."""

import asyncio
import ssl

from aiohttp import web

_CONNECTIONS = 512
_HANDSHAKE_TIME = 10.0
# Also the time that a client has for the head of a request.
_KEEP_ALIVE = 60.0


class Listener:
    """Serves an application over TLS. `drain` is the seconds that requests in flight get when it stops."""

    def __init__(
        self,
        app: web.Application,
        context: ssl.SSLContext,
        host: str,
        port: int,
        *,
        drain: float,
        connections: int = _CONNECTIONS,
    ) -> None:
        self._context = context
        self._address = host, port
        self._most = connections
        # Bodies are bounded as they come: what is compressed is refused, so it is never inflated.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            shutdown_timeout=drain,
            auto_decompress=False,
        )
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port, which matters when 0 was asked for."""
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. OSError when the address cannot be had."""
        await self._runner.setup()
        host, port = self._address
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, host, port, ssl=self._context, ssl_handshake_timeout=_HANDSHAKE_TIME
        )

    async def stop(self) -> None:
        """Take no more connections, and return when the requests in flight are answered."""
        if self._server:
            self._server.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server
        return server() if len(server.connections) < self._most else _HangUp()


class _HangUp(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
