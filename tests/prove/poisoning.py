"""Applies hostile variants to one object of each kind, through the API server, and times how others fare meanwhile.

As a program (kubeconfig, namespace, seed, rate, whether to twins): goes on applying until it is killed.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count, cycle
from typing import Self

import aiohttp
from hypothesis import strategies as st

from perennial.api.meta import LABEL_OWNED
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELS,
    OWN_KINDS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    Resource,
)
from perennial.kube import login
from perennial.kube.errors import AlreadyExists, ApiError, NotFound
from perennial.kube.http import HttpClient
from perennial.plan import Body
from tests.apiserver.space import Space
from tests.prove import hostile, poisoned
from tests.prove.hostile import Strategy
from tests.prove.twins import Twins

# Ours, too, must encode what is nested deeply.
sys.setrecursionlimit(20_000)

OTHER = "prove/other"
# So often the poisoned run is made anew: it fails for good now and then.
_ANEW = 200
_NO_STATUS_RESOURCE = (MODELS, METRICSERIES)


def _metadata(owners: Strategy) -> Strategy:
    parts = {"labels": hostile.labels, "annotations": hostile.annotations, "ownerReferences": owners}
    return st.fixed_dictionaries({}, optional=parts)


def _variant(resource: Resource, status: Strategy, owners: Strategy) -> Strategy:
    return st.tuples(st.just(resource), _metadata(owners), status)


_nobody = hostile.owners("ModelDeployment", "shop", ["00000000-0000-0000-0000-000000000001"])
# Of one resource: what goes into its metadata, and its status.
variants = st.one_of(
    *(_variant(resource, hostile.status(resource), st.nothing() | _nobody) for resource in OWN_KINDS),
    _variant(JOBS, hostile.job_status, st.just([])),
    _variant(PODS, hostile.pod_status, _nobody),
    _variant(DEPLOYMENTS, hostile.deployment_status, st.just([])),
)
Variant = tuple[Resource, Body, Body]


class Poison:
    """One object of each kind in a namespace, and its children, to be written on by `apply`."""

    def __init__(self, namespace: str, client: HttpClient) -> None:
        self.namespace, self.client = namespace, client
        self.counts: Counter[str] = Counter()
        self._names = {resource: next(iter(poisoned.SPECS[resource])) for resource in OWN_KINDS}
        self._numbers = count()

    async def make(self) -> None:
        """The objects, as a person would write them."""
        for resource in OWN_KINDS:
            await self._again(resource)

    async def apply(self, variant: Variant) -> None:
        """Write a variant; what the API server refuses of it is counted."""
        resource, metadata, status = variant
        number = next(self._numbers)
        if number % _ANEW == _ANEW - 1:
            await self._anew()
        if resource == PODS:
            metadata = {**metadata, "labels": {**metadata.get("labels", {}), LABEL_OWNED: "true"}}
        whole = {}
        if resource in OWN_KINDS:
            whole = dict.fromkeys(hostile.SCHEMAS[resource]["properties"]["status"]["properties"])
        taken = await self._write(resource, {"metadata": metadata}) if metadata else False
        subresource = None if resource in _NO_STATUS_RESOURCE else "status"
        taken |= await self._write(resource, {"status": whole | status}, subresource)
        self.counts["taken" if taken else "refused"] += 1

    async def _write(self, resource: Resource, patch: Body, subresource: str | None = None) -> bool:
        try:
            name = await self._name(resource)
            await self.client.patch(resource, self.namespace, name, patch, subresource=subresource)
        except NotFound:
            # Whose owner is nobody is collected: it is made again for the next.
            await self._again(resource)
            return False
        except ApiError:
            return False
        return True

    async def _again(self, resource: Resource) -> None:
        if resource not in OWN_KINDS or resource == TRAININGJOBS:
            await self._anew()
            return
        with contextlib.suppress(ApiError):
            await self._create(resource, self._names[resource])

    async def _name(self, resource: Resource) -> str:
        if resource in self._names:
            return self._names[resource]
        if resource == JOBS:
            return self._names[TRAININGJOBS]
        # Those that the operator and Kubernetes' controllers have made.
        page = await self.client.list(resource, self.namespace, labels=LABEL_OWNED)
        if not page.items:
            raise NotFound(f"no {resource.plural} yet")
        return str(page.items[next(self._numbers) % len(page.items)]["metadata"]["name"])

    async def _anew(self) -> None:
        old, self._names[TRAININGJOBS] = self._names[TRAININGJOBS], f"run-{next(self._numbers)}"
        with contextlib.suppress(AlreadyExists):
            await self._create(TRAININGJOBS, self._names[TRAININGJOBS], poisoned.TRAINING)
        try:
            await self.client.delete(TRAININGJOBS, self.namespace, old)
        except NotFound:
            return

    async def _create(self, resource: Resource, name: str, spec: Body | None = None) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        if resource not in _NO_STATUS_RESOURCE:
            body["spec"] = spec or poisoned.SPECS[resource][name]
        if resource == RETRAINPOLICIES:
            # Runs that a status was made to tell of would be made: by the thousand.
            body["spec"] = {**body["spec"], "suspend": True}
        if resource == MODELDEPLOYMENTS:
            body["spec"] = {**body["spec"], "replicas": 1}
        await self.client.create(body)


class Others:
    """Held TrainingJobs that are edited one after the other; how long until their status tells of each edit."""

    def __init__(self, space: Space, client: HttpClient, number: int) -> None:
        self.space, self.client = space, client
        self.names = [f"other-{index:03}" for index in range(number)]
        self._turn = cycle(self.names)
        self._edits = count(1000)
        self._waiting: dict[tuple[str, int], asyncio.Future[float]] = {}
        self._seen: dict[str, int] = {}

    async def make(self) -> None:
        """All of them, told of once."""

        async def one(name: str) -> None:
            metadata = {"name": name, "namespace": self.space.name, "labels": {OTHER: "true"}}
            body = {"apiVersion": TRAININGJOBS.api_version, "kind": TRAININGJOBS.kind, "metadata": metadata}
            await self.client.create({**body, "spec": {**poisoned.TRAINING, "suspend": True}})

        for start in range(0, len(self.names), 20):
            await asyncio.gather(*(one(name) for name in self.names[start : start + 20]))
        await self._until(lambda: len(self._seen) == len(self.names))

    async def round(self, seconds: float, rate: float) -> list[float]:
        """Edit at this rate; the seconds from each edit to its status."""
        edits: list[asyncio.Task[float]] = []
        begin = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            edits.append(asyncio.create_task(self._edit(next(self._turn))))
        _, stuck = await asyncio.wait(edits, timeout=60)
        assert not stuck, f"never told of: {list(self._waiting)[:5]}, {len(stuck)} in all"
        return [edit.result() for edit in edits]

    async def _edit(self, name: str) -> float:
        patch = {"spec": {"activeDeadlineSeconds": next(self._edits)}}
        begin = time.monotonic()
        made = await self.client.patch(TRAININGJOBS, self.space.name, name, patch)
        generation = int(made["metadata"]["generation"])
        if self._seen.get(name, 0) < generation:
            future = self._waiting[name, generation] = asyncio.get_running_loop().create_future()
            return await future - begin
        return time.monotonic() - begin

    async def watch(self) -> None:
        """Hear of the statuses, until cancelled."""
        server = self.space.server
        context = ssl.create_default_context(cafile=server.ca)
        headers = {"Authorization": f"Bearer {server.token()}"}
        path = f"{server.url}{TRAININGJOBS.path(self.space.name)}?watch=true&labelSelector={OTHER}"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            while True:
                # A stream may break, or be too old: the next begins with what there is.
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(path, ssl=context, headers=headers) as answer:
                        async for line in answer.content:
                            event = json.loads(line)
                            if event["type"] == "ERROR":
                                break
                            self._hear(event["object"])

    def _hear(self, body: Body) -> None:
        name, told = body["metadata"]["name"], (body.get("status") or {}).get("observedGeneration")
        if told:
            self._seen[name] = max(told, self._seen.get(name, 0))
            for generation in range(told, 0, -1):
                future = self._waiting.pop((name, generation), None)
                if future is None:
                    break
                if not future.done():
                    future.set_result(time.monotonic())

    async def _until(self, probe: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not probe():
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            await asyncio.sleep(0.05)

    @classmethod
    @asynccontextmanager
    async def watched(cls, space: Space, client: HttpClient, number: int) -> AsyncIterator[Self]:
        """They, made and watched."""
        others = cls(space, client, number)
        watching = asyncio.create_task(others.watch())
        try:
            await others.make()
            yield others
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@contextmanager
def beside(space: Space, of: int, rate: float, *, twins: bool) -> Iterator[None]:
    """A process of its own that applies variants meanwhile, to ours or to their twins: what it costs to make them is no
    cost of the operator's."""
    command = [sys.executable, "-m", "tests.prove.poisoning", str(space.server.kubeconfig), space.name]
    command += [str(of), str(rate), str(int(twins))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


async def _main(kubeconfig: str, namespace: str, of: str, rate: str, twins: str) -> None:
    what = hostile.samples(variants, 100, int(of))
    async with (Twins if int(twins) else HttpClient)(login.load(kubeconfig)) as client:
        poison = Poison(namespace, client)
        await poison.make()
        print("begun", flush=True)
        for variant in cycle(what):
            await poison.apply(variant)
            await asyncio.sleep(1 / float(rate))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
