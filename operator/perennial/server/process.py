"""The life of the process under uvicorn: listen, load, serve, drain on SIGTERM, end."""

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from perennial.server.errors import ModelLoadError
from perennial.server.predictor import AnyPredictor
from perennial.server.served import Served

# Idle connections must outlive the clients' and proxies' own idle time-outs: who closes first decides whether a request
# can meet a closed connection. Ten minutes is the longest common one.
KEEP_ALIVE_SECONDS = 620
# After the listening socket is closed: what was accepted at the last moment still gets its answer.
LINGER_SECONDS = 1.0
# With the drain delay and the linger this fits in a pod's default grace period of 30 s.
IN_FLIGHT_SECONDS = 15

_log = logging.getLogger(__name__)


class ModelServer(uvicorn.Server):
    """uvicorn's server, with a load after listening and a drain before the end.

    SIGTERM makes it unready at once; for `drain_seconds` it goes on accepting, until every proxy knows. Before the
    model is loaded no traffic comes, so it ends at once. `failure` is set when loading failed.
    """

    def __init__(self, app: ASGIApp, served: Served, drain_seconds: float, load: Callable[[], AnyPredictor]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=IN_FLIGHT_SECONDS,
            )
        )
        self.failure: ModelLoadError | None = None
        self._served = served
        self._drain_seconds = drain_seconds
        self._load = load
        self._drain_until: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # A daemon: a SIGTERM in the middle of a long load ends the process without waiting for it.
        threading.Thread(target=self._load_model, name="load", daemon=True).start()

    def _load_model(self) -> None:
        try:
            self._served.predictor = self._load()
        except ModelLoadError as error:
            self.failure = error
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._served.predictor is not None:
            self._served.draining = True
        else:
            self.force_exit = self.should_exit
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._served.draining and self._drain_until is None:
            self._drain_until = time.monotonic() + self._drain_seconds
            _log.info("draining", extra={"seconds": self._drain_seconds})
        if self._drain_until is not None and time.monotonic() >= self._drain_until:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self._served.draining:
            await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)
        _log.info("stopped")
