"""Plays all kubelets at once: pods that nothing runs get statuses, by what the pods themselves say of their fate.

A pod template says it in the annotation FATE, a list of fates as JSON: the first for the first pod of its Job, the next
for the one after it, the last for all others; see `Fate`. Where each attempt is a Job, its pods have the attempt's.
Without one a training succeeds and a server becomes ready; golden requests are always answered 0.25 apart, of an
evaluation both are 90% right and the new one perhaps worse by 0.01, and data is always the same. A server whose model
lies below a path that contains UNLOADABLE ends as one that cannot load it; one with STUCK never becomes ready.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp

from perennial.api.base import format_time
from perennial.api.resources import PODS
from perennial.kube.errors import ApiError
from perennial.kube.http import HttpClient
from perennial.kube.login import Credentials
from perennial.owners import controller_of, controller_uid
from perennial.plan import Body

FATE = "tests.perennial.dev/fate"
UNLOADABLE = "/unloadable"
STUCK = "/stuck"
DIGEST = "sha256:" + "a" * 64
# How long a training takes, seconds: longer than what the operator would pass over as too short to tell.
TRAINING = 2.0
# The Job controller waits ten seconds and more before it replaces a pod that has just failed.
LONG_AGO = timedelta(minutes=10)
_AT_ONCE = 8
_LOAD_FAILED = json.dumps({"error": {"reason": "ModelLoadFailed", "message": "not a model at all"}})
_TRAINING_FAILED = json.dumps({"error": {"reason": "TrainingFailed", "message": "the training failed"}})


@dataclass(frozen=True)
class Fate:
    """What becomes of one pod of a training.

    seconds: how long it runs. exit: the training's exit code; -1 has it run until it is deleted; -2: the node takes it.
    metrics, evaluation: of what it publishes. uri: where that lies, by default a place of its own. value: that an
    evaluator measures. node: of several nodes this is that one's; the others run until they are deleted.
    """

    seconds: float = TRAINING
    exit: int = 0
    metrics: Body = field(default_factory=lambda: {"f1": 0.9})
    evaluation: str | None = None
    uri: str | None = None
    value: float | None = None
    node: int | None = None


def fated(*fates: Body) -> Body:
    """The metadata of a pod template whose pods have these fates, each with fields of `Fate`."""
    return {"annotations": {FATE: json.dumps(fates)}}


class Kubelets:
    """Plays every pod without a node while it is entered. `made` counts the pods of each owner's uid."""

    def __init__(self, client: HttpClient, credentials: Credentials) -> None:
        self.made: Counter[str] = Counter()
        self._client = client
        self._credentials = credentials
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self._stopped: set[str] = set()
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

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        headers = {"Authorization": self._credentials.authorization() or ""}
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context() or True)
        url = self._credentials.server + PODS.path()
        async with aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=2**22) as session:
            while True:
                try:
                    query = {"watch": "true"}
                    async with session.get(url, params=query, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                        async for line in answer.content:
                            self._saw(json.loads(line)["object"])
                except aiohttp.ClientError:
                    # The server is being started again.
                    await asyncio.sleep(0.5)

    def _saw(self, pod: Body) -> None:
        uid = pod["metadata"].get("uid")
        if not uid:
            return
        if uid not in self._seen:
            self._seen.add(uid)
            owner = controller_uid(pod) or ""
            number = self.made[owner]
            self.made[owner] += 1
            self._spawn(self._play(pod, number))
        ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if "deletionTimestamp" in pod["metadata"] and not ended and uid not in self._stopped:
            self._stopped.add(uid)
            self._spawn(self._stop(pod))

    async def _play(self, pod: Body, number: int) -> None:
        if pod["spec"]["restartPolicy"] == "Always":
            await self._serve(pod)
        else:
            await self._train(pod, number)

    async def _serve(self, pod: Body) -> None:
        names = [one["name"] for one in pod["spec"]["containers"]]
        if UNLOADABLE in json.dumps(pod["spec"]):
            crash = {"terminated": {"exitCode": 78, "reason": "Error", "message": _LOAD_FAILED}}
            loop = {"waiting": {"reason": "CrashLoopBackOff"}}
            await self._report(pod, "Running", dict.fromkeys(names, loop), dict.fromkeys(names, crash))
        elif STUCK in json.dumps(pod["spec"]):
            await self._report(pod, "Running", dict.fromkeys(names, _running()))
        else:
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": _now()}
            await self._report(pod, "Running", dict.fromkeys(names, _running()), conditions=[ready])

    async def _train(self, pod: Body, number: int) -> None:
        fates = json.loads((pod["metadata"].get("annotations") or {}).get(FATE, "[{}]"))
        owner = controller_of(pod) or {"name": ""}
        # A recovery's pod bears the fate of the training: it has none of its own. Nor have trials of a revision.
        ours = owner["name"].endswith("-recover") or {"golden", "eval"} & set(owner["name"].split("-"))
        labels = pod["metadata"].get("labels") or {}
        number = int(labels.get("perennial.dev/attempt", number + 1)) - 1
        fate = Fate(seconds=0.1) if ours else Fate(**fates[min(number, len(fates) - 1)])
        if fate.node is not None and str(fate.node) != labels.get("batch.kubernetes.io/job-completion-index"):
            fate = Fate(exit=-1)
        names = [one["name"] for one in pod["spec"]["containers"]]
        await self._report(pod, "Running", dict.fromkeys(names, _running()))
        if fate.exit == -1:
            return
        await asyncio.sleep(fate.seconds)
        if pod["metadata"]["uid"] in self._stopped:
            return
        if fate.exit == -2:
            taken = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
            await self._report(pod, "Failed", dict.fromkeys(names, _ended(137)), conditions=[taken])
        elif fate.exit:
            states = {name: _ended(1, _TRAINING_FAILED) if name == "agent" else _ended(fate.exit) for name in names}
            await self._report(pod, "Failed", states)
        else:
            answer: Body = {"uri": fate.uri or f"s3://played/{owner['name']}", "digest": DIGEST, "format": "sklearn"}
            answer |= {"metrics": fate.metrics} | ({"evaluation": fate.evaluation} if fate.evaluation else {})
            if names == ["replay"]:
                answer = {"requests": 20, "maxDifference": 0.25, "meanDifference": 0.01, "worst": 7}
            if names == ["evaluate"]:
                answer = {"rows": 500, "digest": DIGEST, "limits": [_measured(one) for one in _task(pod)["limits"]]}
            if names == ["look"]:
                answer = {"objects": 3, "bytes": 300, "digest": DIGEST}
            if names == ["drift"]:
                answer = {"rows": 500, "referenceRows": 900, "columns": 3, "drifted": 1, "farthest": []}
            if names == ["detect"]:
                answer = {"samples": 300, "changes": 1, "last": {"start": 1790000000, "before": 0.9, "after": 0.8}}
            if fate.value is not None:
                answer = {"value": fate.value, "count": 100}
            speaks = "agent" if "agent" in names else names[0]
            states = {name: _ended(0, json.dumps(answer) if name == speaks else "") for name in names}
            await self._report(pod, "Succeeded", states)

    async def _stop(self, pod: Body) -> None:
        names = [one["name"] for one in pod["spec"]["containers"]]
        await self._report(pod, "Failed", dict.fromkeys(names, _ended(143)))

    async def _report(self, pod: Body, phase: str, states: Body, last: Body | None = None, **status: Any) -> None:
        metadata = pod["metadata"]
        for field_, of in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
            status[of] = [
                _status(one["name"], states.get(one["name"], _ended(0)), (last or {}).get(one["name"]))
                for one in pod["spec"].get(field_, ())
            ]
        async with self._slots:
            try:
                body = {"status": {"phase": phase, **status}}
                await self._client.patch(PODS, metadata["namespace"], metadata["name"], body, subresource="status")
            except ApiError:
                # The pod is gone.
                return


def _task(pod: Body) -> Body:
    """What the agent is told to do."""
    found: Body = json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
    return found


def _measured(limit: Body) -> Body:
    missed = ["noWorseThanChampionBy"] if limit["noWorseThanChampionBy"] < 0.01 else []
    return {"missed": missed, "rows": 500, "value": 0.9, "champion": 0.9, "atLeast": -0.01}


class KubeletsThread:
    """The same for tests that are not asynchronous: in a thread of its own."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)
        self._ended = asyncio.Event()
        self.made: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        async with HttpClient(self._credentials) as client, Kubelets(client, self._credentials) as kubelets:
            self.made = kubelets.made
            await self._ended.wait()


def _now() -> str:
    return format_time(datetime.now(UTC))


def _running() -> Body:
    return {"running": {"startedAt": _now()}}


def _ended(code: int, message: str = "") -> Body:
    at = _now() if code == 0 else format_time(datetime.now(UTC) - LONG_AGO)
    reason = "Completed" if code == 0 else "Error"
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": at, "finishedAt": at}}


def _status(name: str, state: Body, last: Body | None) -> Body:
    runs = "running" in state
    digest = "registry.example/train@sha256:" + "b" * 64
    status: Body = {"name": name, "image": "train:1", "imageID": digest, "restartCount": 3 if last else 0}
    return status | {"state": state, "ready": runs, "started": runs} | ({"lastState": last} if last else {})
