"""Plays the part of a kubelet that forwards ports, in a thread: a Node on loopback, and a pod bound to it.

It speaks `v4.channel.k8s.io`, as a kubelet does with websocket clients of the API server's `pods/portforward`: of each
port a channel of data and one of errors, each beginning with the port's number.
"""

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import NODES, PODS
from perennial.ingest.tls import OwnCertificate
from perennial.plan import Body

NODE = "played"


class Forwarding:
    """While it is entered; whatever port of a pod is asked for leads to `target` on loopback. `asked`: which were."""

    def __init__(self, server: ApiServer, target: int) -> None:
        self.target = target
        self.asked: list[tuple[str, str]] = []
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._started, self._ended = threading.Event(), asyncio.Event()
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        node: Body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        self._server.request("POST", NODES.path(), node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
        }
        path = NODES.path(name=NODE, subresource="status")
        self._server.request("PATCH", path, {"status": status}, "application/merge-patch+json")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.request("DELETE", NODES.path(name=NODE))
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    def bind(self, namespace: str, pod: str) -> None:
        """As the scheduler does."""
        body = {"target": {"kind": "Node", "name": NODE}, "metadata": {"name": pod}}
        self._server.request("POST", PODS.path(namespace, pod, "binding"), body)

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_get("/portForward/{namespace}/{pod}", self._forward)
        runner = web.AppRunner(app)
        await runner.setup()
        certificate = OwnCertificate(["127.0.0.1"])
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context)
        await site.start()
        self._port = runner.addresses[0][1]
        self._started.set()
        await self._ended.wait()
        await runner.cleanup()

    async def _forward(self, request: web.Request) -> web.WebSocketResponse:
        port = request.query["port"]
        self.asked.append((request.match_info["pod"], port))
        answer = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await answer.prepare(request)
        number = int(port).to_bytes(2, "little")
        await answer.send_bytes(b"\x00" + number)
        await answer.send_bytes(b"\x01" + number)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            await answer.send_bytes(b"\x01error forwarding port " + port.encode() + b": connection refused")
            await answer.close()
            return answer
        back = asyncio.create_task(_back(reader, answer))
        async for message in answer:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data[1:])
        back.cancel()
        writer.close()
        return answer


async def _back(reader: asyncio.StreamReader, answer: web.WebSocketResponse) -> None:
    while data := await reader.read(65536):
        await answer.send_bytes(b"\x00" + data)
    await answer.close()
