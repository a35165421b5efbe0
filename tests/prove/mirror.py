"""What a whole cluster holds and what it held, as its own watches tell: the eyes of a proof, which pass no proxy."""

import asyncio
import json
import time
from collections import defaultdict
from types import TracebackType
from typing import Self

import aiohttp

from perennial.api.resources import CHILD_KINDS, OWN_KINDS, Resource
from perennial.kube.login import Credentials
from perennial.plan import Body

KINDS = (*OWN_KINDS, *CHILD_KINDS)
_ENDED = ("Succeeded", "Failed")


class Past:
    """What happened in one namespace, in the order of the cluster: resourceVersions grow over all kinds."""

    def __init__(self) -> None:
        self.now: dict[str, dict[str, Body]] = {resource.kind: {} for resource in KINDS}
        # Every object that ever was, as it was seen first, by kind and uid.
        self.made: dict[str, dict[str, Body]] = {resource.kind: {} for resource in KINDS}
        # By uid of a TrainingJob: how it ended first, and at which version.
        self.ended: dict[str, tuple[str, int]] = {}
        # By uid of a RetrainPolicy and number of a run: the version at which its status first said that it trains.
        self.begun: dict[tuple[str, int], int] = {}
        self.wrong: list[str] = []
        self.events = 0
        # Monotonic seconds: when there was last a version that was not there before.
        self.versioned = 0.0

    def saw(self, kind: str, type_: str, body: Body) -> None:
        """One event of a watch."""
        self.events += 1
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        if kind == "ModelVersion" and uid not in self.made[kind]:
            self.versioned = time.monotonic()
        self.made[kind].setdefault(uid, body)
        if type_ == "DELETED":
            if self.now[kind].get(name, body)["metadata"]["uid"] == uid:
                self.now[kind].pop(name, None)
        else:
            self.now[kind][name] = body
        if kind == "RetrainPolicy":
            for run in (body.get("status") or {}).get("runs") or ():
                if run["phase"] != "Pending":
                    self.begun.setdefault((uid, run["number"]), int(body["metadata"]["resourceVersion"]))
        if kind == "TrainingJob":
            phase = (body.get("status") or {}).get("phase")
            if uid in self.ended and self.ended[uid][0] != phase:
                self.wrong.append(f"TrainingJob {name} had ended as {self.ended[uid][0]}, and then was {phase}")
            elif phase in _ENDED and uid not in self.ended:
                self.ended[uid] = (phase, int(body["metadata"]["resourceVersion"]))


class Mirror:
    """Watches every kind that matters of all namespaces, while it is entered."""

    def __init__(self, credentials: Credentials) -> None:
        self.spaces: defaultdict[str, Past] = defaultdict(Past)
        self._credentials = credentials
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._watch(resource)) for resource in KINDS]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, resource: Resource) -> None:
        headers = {"Authorization": self._credentials.authorization() or ""}
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context() or True)
        url, query = self._credentials.server + resource.path(), {"watch": "true", "allowWatchBookmarks": "true"}
        forever = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=2**22) as session:
            while True:
                async with session.get(url, params=query, timeout=forever) as answer:
                    # A kind that was just made is not served at once.
                    if answer.status == 200:
                        async for line in answer.content:
                            # A server ends a watch now and then; nothing is missed.
                            query["resourceVersion"] = self._saw(resource, json.loads(line))
                await asyncio.sleep(0.1)

    def _saw(self, resource: Resource, event: Body) -> str:
        """The version up to which all is known."""
        body: Body = event["object"]
        assert event["type"] != "ERROR", f"the proof's own watch of {resource.plural}: {body}"
        if event["type"] != "BOOKMARK":
            self.spaces[body["metadata"]["namespace"]].saw(resource.kind, event["type"], body)
        return str(body["metadata"]["resourceVersion"])

    def check(self) -> None:
        """Fail when a watch of the proof itself has ended."""
        for task in self._tasks:
            if task.done():
                task.result()
