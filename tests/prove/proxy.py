"""A way to the API server that records what an operator asks for, and on which things go wrong as a test wants it."""

import asyncio
import contextlib
import json
import re
import ssl
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from e2e.cluster.apiserver import ApiServer
from perennial.plan import Body
from tests.apiserver.operators import USER

WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Events are best effort, the Lease is not the work, and a review changes nothing.
APART = ("events", "leases", "tokenreviews", "subjectaccessreviews")
# Answers are unpacked on their way.
_NOT_PASSED_ON = ("host", "accept-encoding")
_PATH = re.compile(
    r"(?P<group>/api/v1|/apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[^/]+)(/(?P<name>[^/]+)(/(?P<subresource>[^/]+))?)?"
)


@dataclass(frozen=True)
class Request:
    """A request as the operator sent it. `resource` is the plural, empty for what is about none. `makes`: the name of
    the object that a POST would make."""

    method: str
    path: str
    query: dict[str, str]
    namespace: str | None = None
    resource: str = ""
    name: str | None = None
    subresource: str | None = None
    makes: str | None = None

    @property
    def watches(self) -> bool:
        return self.query.get("watch") in ("true", "1")

    @property
    def lists(self) -> bool:
        return self.method == "GET" and bool(self.resource) and self.name is None and not self.watches

    @property
    def writes(self) -> bool:
        """Whether it changes what the work is about."""
        changes = self.method in WRITES and "dryRun" not in self.query
        return changes and bool(self.resource) and self.resource not in APART


@dataclass(frozen=True)
class Write:
    """A write that the server accepted. `number` counts them from 1."""

    number: int
    request: Request
    name: str

    def __str__(self) -> str:
        part = f"/{self.request.subresource}" if self.request.subresource else ""
        return f"{self.request.method} {self.request.resource}{part} {self.name}"


@dataclass(frozen=True)
class Refuse:
    """Answered with this status, without asking the server."""

    status: int


@dataclass(frozen=True)
class Hang:
    """Nothing is answered for so long, then the connection breaks. The server was not asked."""

    seconds: float


@dataclass(frozen=True)
class Break:
    """The connection breaks; `asked`: after the server did what was asked."""

    asked: bool


Fault = Refuse | Hang | Break


class Faults:
    """What goes wrong on the way; this one: nothing. The methods are called in the proxy's own thread."""

    def request(self, request: Request) -> Fault | None:
        """What happens to a request; for a watch, to its beginning."""
        return None

    def written(self, write: Write) -> None:
        """The server accepted a write; its answer has not gone out."""

    def event(self, request: Request, event: Body) -> Iterable[tuple[float, Body]]:
        """The events that are told instead of one of a watch, each so many seconds later."""
        return ((0.0, event),)

    def stale(self, request: Request) -> bool:
        """Whether a LIST is answered as it was at the last `Proxy.snapshot`."""
        return False


class Proxy:
    """Forwards every request of one operator. With `scope` the cluster has no other namespace than that one."""

    def __init__(self, server: ApiServer, name: str, faults: Faults | None = None, *, scope: str | None = None) -> None:
        self.faults = faults or Faults()
        self.writes: list[Write] = []
        self.refused: list[tuple[str, int]] = []
        self.kubeconfig: Path = server.folder / f"{name}.kubeconfig"
        self._server = server
        self._scope = scope
        self._snapshot: dict[str, bytes] = {}
        self._listed: set[str] = set()
        self._streams: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        started: Future[int] = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        context = {"cluster": "proxy", "user": USER, "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{started.result(10)}"}}],
            "users": [{"name": USER, "user": {"token": self._server.token(USER)}}],
            "contexts": [{"name": "proxy", "context": context}],
            "current-context": "proxy",
        }
        self.kubeconfig.write_text(json.dumps(config))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def snapshot(self) -> None:
        """Remember every LIST that was ever asked for as it would be answered now; see `Faults.stale`."""
        asyncio.run_coroutine_threadsafe(self._take(), self._loop).result(120)

    def cut(self) -> None:
        """Break all watches that are open now."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._streams])

    async def _start(self) -> int:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._server.ca), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(
            self._server.url, connector=connector, timeout=timeout, read_bufsize=2**22
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        for task in self._streams:
            task.cancel()
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, sent: web.Request) -> web.StreamResponse:
        request = parse(sent.method, sent.path, dict(sent.query))
        data = await sent.read() or None
        if request.method == "POST" and request.resource and data:
            request = replace(request, makes=json.loads(data).get("metadata", {}).get("name"))
        fault = self.faults.request(request)
        if isinstance(fault, Refuse):
            return _status(fault.status)
        if isinstance(fault, Hang):
            await asyncio.sleep(fault.seconds)
            return _hang_up(sent)
        if isinstance(fault, Break) and not fault.asked:
            return _hang_up(sent)
        path = self._target(request)
        headers = {name: value for name, value in sent.headers.items() if name.lower() not in _NOT_PASSED_ON}
        if request.watches:
            return await self._watch(sent, request, path, headers)
        if request.lists:
            accept = headers.get("Accept", "")
            if "continue" not in request.query:
                # The pages after an old one are of its time by themselves.
                self._listed.add(f"{accept} {path}")
            if (old := self._snapshot.get(f"{accept} {path}")) and self.faults.stale(request):
                return web.Response(body=old, content_type="application/json")
        try:
            async with self._session.request(request.method, path, headers=headers, data=data) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return _hang_up(sent)
        if request.writes:
            if answer.status < 300:
                write = Write(len(self.writes) + 1, request, request.name or request.makes or "")
                self.writes.append(write)
                self.faults.written(write)
            else:
                self.refused.append((f"{request.method} {request.path}", answer.status))
        if isinstance(fault, Break):
            return _hang_up(sent)
        return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    def _target(self, request: Request) -> str:
        """Path and query at the server: all namespaces are the one of the scope."""
        path = request.path
        if self._scope and request.resource and request.namespace is None and request.name is None:
            matched = _PATH.fullmatch(path)
            assert matched
            if request.resource not in ("namespaces", "nodes", "customresourcedefinitions", *APART):
                path = f"{matched['group']}/namespaces/{self._scope}/{request.resource}"
        return f"{path}?{urlencode(request.query)}" if request.query else path

    async def _watch(self, sent: web.Request, request: Request, path: str, headers: Any) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task
        self._streams.add(task)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            async with self._session.get(path, headers=headers) as answer:
                if answer.status != 200:
                    body = await answer.read()
                    return web.Response(status=answer.status, body=body, content_type=answer.content_type)
                await response.prepare(sent)
                # Late events are written by tasks of their own, so that others overtake them.
                async with asyncio.TaskGroup() as group:
                    async for line in answer.content:
                        for delay, event in self.faults.event(request, json.loads(line)):
                            if delay:
                                group.create_task(_tell(response, event, delay))
                            else:
                                await _tell(response, event)
        except (ConnectionError, aiohttp.ClientError, ExceptionGroup):
            pass
        except asyncio.CancelledError:
            return _hang_up(sent)
        finally:
            self._streams.discard(task)
        return response

    async def _take(self) -> None:
        taken: dict[str, bytes] = {}
        for listed in tuple(self._listed):
            accept, _, path = listed.rpartition(" ")
            headers = {"Authorization": f"Bearer {self._server.token(USER)}", "Accept": accept}
            async with self._session.get(path, headers=headers) as answer:
                taken[listed] = await answer.read()
        self._snapshot = taken


def parse(method: str, path: str, query: dict[str, str]) -> Request:
    """What a request is about."""
    found = _PATH.fullmatch(path)
    if not found:
        return Request(method, path, query)
    fields = {name: found[name] for name in ("namespace", "resource", "name", "subresource")}
    return Request(method, path, query, **fields)  # type: ignore[arg-type]


async def _tell(response: web.StreamResponse, event: Body, delay: float = 0.0) -> None:
    if delay:
        await asyncio.sleep(delay)
    await response.write(json.dumps(event).encode() + b"\n")


def _hang_up(sent: web.Request) -> web.StreamResponse:
    with contextlib.suppress(AttributeError):
        sent.transport.abort()  # type: ignore[union-attr]
    return web.Response(status=502)


def _status(code: int) -> web.Response:
    reasons = {409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    body |= {"reason": reasons.get(code, "Unknown"), "message": "the proxy of a test made this up"}
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.json_response(body, status=code, headers=headers)
