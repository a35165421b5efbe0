"""A way to the API server on which an operator is killed by its own writes: the request arrives, the answer never."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from e2e.cluster.apiserver import ApiServer
from tests.apiserver.operators import USER

WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Events are best effort, and the Lease is not the work.
SPARED = ("/events", "/leases")
# Answers are unpacked on their way.
NOT_PASSED_ON = ("host", "accept-encoding")


class Assassin:
    """Forwards each request to a server; after each write that it accepted in a namespace it calls `kill` and hangs up.

    What an operator does for other tests' namespaces, it lives through.
    """

    def __init__(self, server: ApiServer, namespace: str, kill: Callable[[], None]) -> None:
        self._server = server
        self._within = f"/namespaces/{namespace}/"
        self._kill = kill
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.kubeconfig: Path = server.folder / "assassin.kubeconfig"
        self.victims: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        started: Future[int] = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        config = json.loads(self._server.kubeconfig_of(USER).read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{started.result(10)}"}
        self.kubeconfig.write_text(json.dumps(config))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self) -> int:
        context = ssl.create_default_context(cafile=self._server.ca)
        connector = aiohttp.TCPConnector(ssl=context)
        self._session = aiohttp.ClientSession(self._server.url, connector=connector)
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}
        body = await request.read()
        async with self._session.request(
            request.method, request.rel_url, headers=headers, data=body, timeout=aiohttp.ClientTimeout(total=None)
        ) as answer:
            writes = request.method in WRITES and "dryRun" not in request.query and self._within in request.path
            if writes and answer.status < 300 and not any(part in request.path for part in SPARED):
                await answer.read()
                self.victims.append(f"{request.method} {request.path}")
                self._kill()
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            # Nobody is left to hear what came after a kill.
            with contextlib.suppress(ConnectionResetError):
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            return response
