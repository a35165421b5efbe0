"""Everything that a decision about a Model looks at."""

from collections.abc import Mapping
from dataclasses import dataclass

from perennial.api.modelversion import ModelStatus
from perennial.api.resources import MODELDEPLOYMENTS, MODELS, MODELVERSIONS, TRAININGJOBS
from perennial.plan import Body
from perennial.subject import read_status
from perennial.view import View


@dataclass(frozen=True)
class Snapshot:
    """One model name of a namespace. `waiting` are finished runs without a version, oldest first."""

    namespace: str
    name: str
    body: Body | None
    status: ModelStatus
    versions: Mapping[int, Body]
    waiting: tuple[Body, ...]
    deployments: tuple[Body, ...]


def gather(view: View, namespace: str, name: str) -> Snapshot | None:
    """The snapshot of one model name; also before its Model exists, when there is something to record."""
    body = view.get(MODELS, namespace, name)
    versions = {
        int(version["spec"]["version"]): version
        for version in view.indexed(MODELVERSIONS, namespace, name)
        if version["metadata"]["name"] == f"{name}-{version['spec']['version']}"
    }
    waiting = [job for job in view.indexed(TRAININGJOBS, namespace, name) if _waits(job)]
    waiting.sort(key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]))
    if body is None and not versions and not waiting:
        return None
    deployments = view.indexed(MODELDEPLOYMENTS, namespace, name)
    return Snapshot(
        namespace=namespace,
        name=name,
        body=body,
        status=read_status(ModelStatus, (body or {}).get("status")),
        versions=versions,
        waiting=tuple(waiting),
        deployments=tuple(sorted(deployments, key=lambda one: str(one["metadata"]["name"]))),
    )


def _waits(job: Body) -> bool:
    status: Body = job.get("status") or {}
    return status.get("phase") == "Publishing" and bool(status.get("result"))
