"""Health over HTTP: /healthz (is the loop alive, does the queue move), /readyz (named checks), /metrics."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from perennial.telemetry import metrics

# A check gives None when all is well, else what is wrong.
Check = Callable[[], str | None]


class LoopLag:
    """How late the event loop runs what is due. Late once is a hiccup; late `times` in a row is a fault."""

    def __init__(self, *, limit: float = 5.0, times: int = 3, period: float = 1.0) -> None:
        self._limit = limit
        self._period = period
        self._lags: deque[float] = deque([0.0] * times, maxlen=times)

    def note(self, lag: float) -> None:
        """One measurement, in seconds."""
        self._lags.append(lag)

    def check(self) -> str | None:
        """A check of the last measurements."""
        least = min(self._lags)
        return f"the event loop is {least:.1f} s late" if least > self._limit else None

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(self._period)
            self.note(time.monotonic() - before - self._period)


def limit(what: str, seconds: Callable[[], float], most: float) -> Check:
    """A check that a duration, such as that of the oldest running reconcile, stays below a bound."""

    def check() -> str | None:
        value = seconds()
        return f"{what} for {value:.0f} s" if value > most else None

    return check


class Health:
    """The checks of the process. They may be added while it runs; the server asks them on every request."""

    def __init__(self) -> None:
        self.lag = LoopLag()
        self.live: dict[str, Check] = {"loop": self.lag.check}
        self.ready: dict[str, Check] = {}

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application()
        app.router.add_get("/healthz", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", _metrics)
        return app

    @asynccontextmanager
    async def serve(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while inside. Gives the port, which matters when 0 was asked for."""
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        lag = asyncio.create_task(self.lag.run(), name="loop-lag")
        try:
            await web.TCPSite(runner, host, port).start()
            yield runner.addresses[0][1]
        finally:
            lag.cancel()
            with suppress(asyncio.CancelledError):
                await lag
            await runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return _report(self.live)

    async def _ready(self, _: web.Request) -> web.Response:
        return _report(self.ready)


def _report(checks: Mapping[str, Check]) -> web.Response:
    faults = {name: fault for name, check in checks.items() if (fault := check())}
    if faults:
        return web.Response(status=503, text="".join(f"{name}: {fault}\n" for name, fault in faults.items()))
    return web.Response(text="ok\n")


async def _metrics(_: web.Request) -> web.Response:
    metrics.tasks.set(len(asyncio.all_tasks()))
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
