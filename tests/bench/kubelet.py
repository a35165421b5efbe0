"""A stand-in for all kubelets at once: every pod runs as soon as it is made, and succeeds a moment later."""

import asyncio
import json
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from perennial.api.base import format_time
from perennial.api.resources import PODS
from perennial.kube.errors import ApiError
from perennial.kube.http import HttpClient
from perennial.kube.login import Credentials
from perennial.plan import Body

DIGEST = "sha256:" + "a" * 64
# How long a training takes, seconds: longer than what the operator would pass over as too short to tell.
TRAINING = 2.0
_AT_ONCE = 8


class Kubelets:
    """Plays every pod without a node while it is entered."""

    def __init__(self, client: HttpClient, credentials: Credentials) -> None:
        self._client = client
        self._credentials = credentials
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        self._spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        headers = {"Authorization": self._credentials.authorization() or ""}
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context() or True)
        url = self._credentials.server + PODS.path()
        async with aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=2**22) as session:
            while True:
                query = {"watch": "true"}
                async with session.get(url, params=query, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                    async for line in answer.content:
                        self._seen_pod(json.loads(line)["object"])

    def _seen_pod(self, pod: Body) -> None:
        uid = pod["metadata"].get("uid")
        if uid and uid not in self._seen and "deletionTimestamp" not in pod["metadata"]:
            self._seen.add(uid)
            self._spawn(self._play(pod))

    async def _play(self, pod: Body) -> None:
        containers = [one["name"] for one in pod["spec"]["containers"]]
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": _now()}
        running = {name: {"running": {"startedAt": _now()}} for name in containers}
        await self._report(pod, "Running", running, conditions=[ready])
        if pod["spec"]["restartPolicy"] == "Always":
            return
        await asyncio.sleep(TRAINING)
        name = pod["metadata"]["name"]
        answer = json.dumps(
            {"uri": f"s3://bench/{name}", "digest": DIGEST, "format": "sklearn", "metrics": {"f1": 0.9}}
        )
        ended = {name: _ended(answer if name == "agent" else "") for name in containers}
        await self._report(pod, "Succeeded", ended)

    async def _report(self, pod: Body, phase: str, states: Body, **status: Any) -> None:
        metadata = pod["metadata"]
        for field, of in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
            status[of] = [
                _status(one["name"], states.get(one["name"], _ended(""))) for one in pod["spec"].get(field, ())
            ]
        async with self._slots:
            try:
                body = {"status": {"phase": phase, **status}}
                await self._client.patch(PODS, metadata["namespace"], metadata["name"], body, subresource="status")
            except ApiError:
                # The pod is gone.
                return


def _now() -> str:
    return format_time(datetime.now(UTC))


def _ended(message: str) -> Body:
    now = _now()
    return {
        "terminated": {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": now, "finishedAt": now}
    }


def _status(name: str, state: Body) -> Body:
    runs = "running" in state
    digest = "registry.example/train@sha256:" + "b" * 64
    status = {"name": name, "image": "train:1", "imageID": digest, "restartCount": 0}
    return status | {"state": state, "ready": runs, "started": runs}
