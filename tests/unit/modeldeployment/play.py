"""A rollout as it is played in a world: what happens by itself, what people ask for, and what is reported."""

from typing import Any

from perennial.api.base import format_time
from perennial.api.resources import JOBS, METRICSERIES
from perennial.api.task import Message
from perennial.metricseries.series import Sample, fold
from perennial.plan import Body
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version


def rolling(strategy: Body, **spec: Any) -> World:
    """Version 1 serves with three pods, and version 2 is rolled out."""
    world = World(a_version(1), **{"replicas": 3, "strategy": strategy, "scaleDownDelay": "1h", **spec})
    world.settle()
    world.put(a_version(2))
    passes(world)
    return world


def passes(world: World, seconds: float = 0, ready: bool = True, gateways: bool = True) -> None:
    """What happens by itself until nothing does, or for so many seconds."""
    end = world.now.timestamp() + max(seconds, 40)
    while (left := end - world.now.timestamp()) > 0:
        before = world.trace()
        world.controller()
        for name in world.replicas() if ready else ():
            if not any(pod["status"].get("broken") for pod in world.pods(name)):
                world.make_ready(name)
        world.controller()
        if gateways:
            world.gateways()
        plan = world.reconcile()
        # While nothing changes, and nobody is to answer, nobody looks until the plan says so.
        rests = world.trace() == before and not plan.questions
        world.pass_time(max(2, min(left, plan.requeue_after or left)) if rests else 2)


def ask(world: World, annotation: str, value: str = "1") -> None:
    world.annotate(annotation, value)
    passes(world)


def at(world: World) -> tuple[int, int]:
    """The step that is under way, from 1, and the percent of requests."""
    return world.status["rollout"]["step"] + 1, world.status["traffic"]["actualWeight"]


def reasons(world: World) -> list[str]:
    return [event.reason for event in world.events]


def reported(world: World, revision: str | None, right: float, count: int) -> None:
    """So many answers of a revision, of which this part was right."""
    hits, now = round(right * count), world.now.timestamp()
    parts = [(1.0, hits), (0.0, count - hits)]
    samples = [Sample("accuracy", value, now, revision or "", number) for value, number in parts if number]
    series = fold(world.objects.get((METRICSERIES, NAME)), samples, world.now)
    kind = {"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind}
    world.put({**series, **kind, "metadata": {"name": NAME, "namespace": NAMESPACE}})


def jobs(world: World) -> list[Body]:
    return list(world.list(JOBS, NAMESPACE))


def job_ends(world: World, container: str, answer: Message | None, *, number: int = -1, code: int = 0) -> None:
    """The pod of a Job ends, and its Job with it."""
    job = jobs(world)[number]
    ended: Body = {"exitCode": code} | ({"message": answer.to_json()} if answer else {})
    owner = {"uid": job["metadata"]["uid"], "controller": True, "kind": "Job", "name": job["metadata"]["name"]}
    labels = job["spec"]["template"]["metadata"]["labels"]
    name = f"{job['metadata']['name']}-x"
    status = {"containerStatuses": [{"name": container, "state": {"terminated": ended}}]}
    head = {"apiVersion": "v1", "kind": "Pod"}
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "labels": labels, "ownerReferences": [owner]}
    world.put({**head, "metadata": metadata, "spec": {"containers": []}, "status": status})
    type_ = "Failed" if code else "Complete"
    condition = {"type": type_, "status": "True", "message": "", "lastTransitionTime": format_time(world.now)}
    job["status"] = {"conditions": [condition]}
