"""Plays a schedule in a namespace: the steps of people, of others who meddle, and of the weather.

A schedule is a list of steps `[pause, verb, arguments]`, plain data that is printed when it fails and can be played
again:
wait so many seconds, then call the method of that name. A step whose object is not there does nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from perennial.api.meta import ANNOTATION_RETRY, ANNOTATION_RUN_REQUEST, LABEL_OWNED, LABEL_REVISION
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    PODS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.kube.errors import ApiError
from perennial.kube.http import HttpClient
from perennial.metricseries.series import Sample, fold
from perennial.owners import controller_of
from perennial.plan import Body
from tests.kubelets import UNLOADABLE, fated
from tests.prove.crowd import Place
from tests.prove.mirror import Past

Step = tuple[float, str, dict[str, Any]]
Schedule = list[Step]
KINDS = {
    resource.kind: resource
    for resource in (
        *(TRAININGJOBS, MODELS, MODELVERSIONS, MODELDEPLOYMENTS, RETRAINPOLICIES, METRICSERIES),
        *(JOBS, PODS, DEPLOYMENTS, SERVICES),
    )
}
OURS = "perennial.dev/"
_CONTAINER = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
# How hard one step tries against others who write the same object.
_TRIES = 5


class Everyone:
    """What befalls all namespaces at once, as the wave allows it."""

    def __init__(self, kill: Callable[[], None], stale: Callable[[float], Awaitable[None]]) -> None:
        self.kill = kill
        self.stale = stale


class Player:
    """One namespace, with all hands in it. `disturbed`: uids of TrainingJobs whose pods or Jobs were meddled with.
    `foreign`: objects of somebody else that stand where ours would, as they were made."""

    def __init__(self, name: str, client: HttpClient, past: Past, place: Place, everyone: Everyone) -> None:
        self.name = name
        self.past = past
        self.disturbed: set[str] = set()
        self.foreign: list[Body] = []
        self.applied = False
        self.forgotten = False
        self._client = client
        self._place = place
        self._everyone = everyone
        self._asked = 0

    async def play(self, schedule: Schedule) -> None:
        """Every step in its turn; then the weather of this namespace is over."""
        for pause, verb, arguments in schedule:
            await asyncio.sleep(pause)
            try:
                await getattr(self, verb)(**arguments)
            except ApiError as error:
                # It is there already, or not yet, or may not be changed: people meet that, too.
                if not 400 <= error.code < 500:
                    raise
        self._place.calm()

    # People.

    async def train(self, name: str, fates: list[Body], **spec: Any) -> None:
        template = {"metadata": fated(*fates), "spec": {"containers": [_CONTAINER]}}
        plain = {"model": {"name": "churn"}, "template": template, "output": {"uri": "s3://acme/models"}}
        await self._make(TRAININGJOBS, name, plain | spec)

    async def edit(self, kind: str, name: str, spec: Body) -> None:
        await self._client.patch(KINDS[kind], self.name, name, {"spec": spec})

    async def remove(self, kind: str, name: str) -> None:
        self.forgotten |= kind in ("Model", "ModelVersion")
        await self._client.delete(KINDS[kind], self.name, name)

    async def deploy(self, name: str, **spec: Any) -> None:
        server = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
        plain = {"model": {"name": "churn"}, "template": server, "scaleDownDelay": "1s"}
        await self._make(MODELDEPLOYMENTS, name, plain | spec)

    async def retemplate(self, name: str, image: str) -> None:
        server = {"spec": {"containers": [{"name": "server", "image": image}]}}
        await self._client.patch(MODELDEPLOYMENTS, self.name, name, {"spec": {"template": server}})

    async def version(self, number: int, f1: float, loads: bool) -> None:
        self.applied = True
        path = "" if loads else UNLOADABLE
        spec = {"model": "churn", "version": number, "uri": f"s3://acme{path}/{number}", "format": "sklearn"}
        spec |= {"digest": f"sha256:{number:064x}", "metrics": {"f1": f1}}
        await self._make(MODELVERSIONS, f"churn-{number}", spec)

    async def retry(self, name: str) -> None:
        await self._annotate(MODELDEPLOYMENTS, name, ANNOTATION_RETRY)

    async def go_on(self, name: str, what: str) -> None:
        await self._annotate(MODELDEPLOYMENTS, name, f"{OURS}{what}")

    async def policy(self, name: str, fates: list[Body], **spec: Any) -> None:
        template = {"metadata": fated(*fates), "spec": {"containers": [_CONTAINER]}}
        training = {"model": {"name": "churn"}, "template": template, "output": {"uri": "s3://acme/models"}}
        plain = {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": training}, "cooldown": "1h"}
        await self._make(RETRAINPOLICIES, name, plain | spec)

    async def ask(self, name: str) -> None:
        await self._annotate(RETRAINPOLICIES, name, ANNOTATION_RUN_REQUEST)

    async def measured(self, value: float) -> None:
        """What the ingest endpoint would write."""
        now = datetime.now(UTC)
        status = self._seen("ModelDeployment", "churn").get("status") or {}
        revision = str(status.get("stableRevision", ""))
        for _ in range(_TRIES if revision else 0):
            try:
                before = await self._client.get(METRICSERIES, self.name, "churn")
            except ApiError:
                before = None
            body = fold(before, [Sample("f1", value, now.timestamp(), revision, 50)], now)
            try:
                if before is None:
                    head = {"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind}
                    await self._client.create(
                        head | {"metadata": {"name": "churn", "namespace": self.name}, "status": body["status"]}
                    )
                else:
                    version = {"resourceVersion": before["metadata"]["resourceVersion"]}
                    patch = {"metadata": version, "status": body["status"]}
                    await self._client.patch(METRICSERIES, self.name, "churn", patch)
            except ApiError:
                continue
            return

    # Others.

    async def take(self, kind: str, name: str) -> None:
        """Delete what belongs to an object of ours."""
        for body in self._children(kind, name):
            await self._disturb(body, self._client.delete(KINDS[kind], self.name, body["metadata"]["name"]))

    async def scale(self, name: str, replicas: int) -> None:
        for body in self._children("Deployment", name)[:1]:
            await self._client.patch(DEPLOYMENTS, self.name, body["metadata"]["name"], {"spec": {"replicas": replicas}})

    async def resume(self, name: str, suspend: bool) -> None:
        """Somebody suspends or resumes the Job itself."""
        for body in self._children("Job", name)[:1]:
            patch = self._client.patch(JOBS, self.name, body["metadata"]["name"], {"spec": {"suspend": suspend}})
            await self._disturb(body, patch)

    async def select(self, name: str, key: str, value: str | None) -> None:
        """Somebody changes what a Service selects."""
        await self._client.patch(SERVICES, self.name, name, {"spec": {"selector": {key: value}}})

    async def strip(self, kind: str, name: str, what: str) -> None:
        """Somebody takes all our labels, or annotations, off an object or off what belongs to one."""
        resource = KINDS[kind]
        bodies = self._children(kind, name) or [body for body in [self._seen(kind, name)] if body]
        for body in bodies[:1]:
            ours = {key: None for key in body["metadata"].get(what) or () if key.startswith(OURS)}
            if ours:
                patch = {"metadata": {what: ours}}
                await self._disturb(body, self._client.patch(resource, self.name, body["metadata"]["name"], patch))

    async def fail(self, kind: str, name: str) -> None:
        """A pod is evicted: of a training (kind Job) or of a server (kind Deployment)."""
        for pod in self._pods(kind, name)[:1]:
            body = {"status": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}}
            write = self._client.patch(PODS, self.name, pod["metadata"]["name"], body, subresource="status")
            await self._disturb(pod, write)

    async def lose(self, kind: str, name: str) -> None:
        """A pod is deleted."""
        for pod in self._pods(kind, name)[:1]:
            await self._disturb(pod, self._client.delete(PODS, self.name, pod["metadata"]["name"]))

    async def occupy(self, kind: str, name: str) -> None:
        """An object of somebody else takes a name that ours would have."""
        head: Body = {"metadata": {"name": name, "namespace": self.name, "labels": {LABEL_OWNED: "true"}}}
        if kind == "Job":
            spec = {"template": {"spec": {"containers": [_CONTAINER], "restartPolicy": "Never"}}, "suspend": True}
            body = {"apiVersion": "batch/v1", "kind": "Job", **head, "spec": spec}
        else:
            body = {"apiVersion": "v1", "kind": "Service", **head, "spec": {"ports": [{"port": 1}]}}
        made = await self._client.create(body)
        self.foreign.append(made | {"kind": kind})

    # The weather.

    async def storm(self, sorts: list[str], rate: float, seconds: float) -> None:
        self._place.storms, self._place.storm_rate = tuple(sorts), rate
        self._place.storm_until = time.monotonic() + seconds

    async def muddle(self, sort: str, rate: float, seconds: float) -> None:
        self._place.muddle, self._place.muddle_rate = sort, rate
        self._place.muddle_until = time.monotonic() + seconds

    async def kill(self) -> None:
        self._everyone.kill()

    async def stale(self, seconds: float) -> None:
        await self._everyone.stale(seconds)

    async def _make(self, resource: Resource, name: str, spec: Body) -> None:
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        await self._client.create(head | {"metadata": {"name": name, "namespace": self.name}, "spec": spec})

    async def _annotate(self, resource: Resource, name: str, key: str) -> None:
        self._asked += 1
        patch = {"metadata": {"annotations": {key: f"v{self._asked}"}}}
        await self._client.patch(resource, self.name, name, patch)

    async def _disturb(self, body: Body, write: Awaitable[Any]) -> None:
        """Do it, and remember which TrainingJob it is about: what becomes of that one is not certain any more."""
        controller = controller_of(body)
        while controller and controller["kind"] == "Job":
            controller = controller_of(self.past.made["Job"].get(controller["uid"], {"metadata": {}}))
        if controller and controller["kind"] == "TrainingJob":
            self.disturbed.add(controller["uid"])
        await write

    def _seen(self, kind: str, name: str) -> Body:
        return self.past.now[kind].get(name, {})

    def _children(self, kind: str, owner: str) -> list[Body]:
        """Newest first."""
        found = [
            body
            for body in self.past.now[kind].values()
            if (controller := controller_of(body)) and controller["name"] == owner
        ]
        return sorted(found, key=lambda body: str(body["metadata"]["creationTimestamp"]), reverse=True)

    def _pods(self, kind: str, owner: str) -> list[Body]:
        if kind == "Job":
            return [
                pod for job in self._children("Job", owner) for pod in self._children("Pod", job["metadata"]["name"])
            ]
        revisions = {child["metadata"]["name"] for child in self._children("Deployment", owner)}
        labelled = self.past.now["Pod"].values()
        return [pod for pod in labelled if (pod["metadata"].get("labels") or {}).get(LABEL_REVISION) in revisions]
