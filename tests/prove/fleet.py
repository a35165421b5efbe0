"""Objects of each kind in each state, in one namespace, and the kubelet of their pods: what an upgrade meets."""

from datetime import UTC, datetime

from perennial.api.base import format_time
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    PODS,
    PVCS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.plan import Body
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.space import Space

OURS = (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELS, MODELVERSIONS)
CHILDREN = (JOBS, PODS, DEPLOYMENTS, SERVICES, PVCS)
State = dict[tuple[str, str], Body]
METADATA = ("uid", "labels", "annotations", "ownerReferences")
REVISION = "perennial.dev/revision"
# After this long without a request of the operator all is at rest; it looks at everything within a second of its start.
REST = 3.0


class Fleet:
    """Some objects of each kind in each state, `sets` of them, in one namespace; and the kubelet of their pods."""

    def __init__(self, space: Space, sets: int) -> None:
        self.space = space
        self.kubelet = Kubelet(space)
        self.sets = range(sets)

    def each(self, *names: str) -> list[str]:
        """The objects of these names in every set."""
        return [f"{name}-{number}" for number in self.sets for name in names]

    def begin(self) -> None:
        """Make everything, and bring it where it is to stay."""
        for name in self.each("done", "broken", "runs", "late", "ended", "stuck", "stopped", "again"):
            self.space.train(name, model={"name": name}, backoffLimit=2 if name.startswith("again") else 0)
        for name in self.each("held"):
            self.space.train(name, model={"name": name}, suspend=True)
        for name in self.each("serves", "rolls", "fails", "waits"):
            self._serve(name)
        for name in self.each("serves", "rolls", "fails"):
            self._version(name, 1)
        for name in self.each("done"):
            self.kubelet.publishes(name)
        for name in self.each("broken", "again"):
            self.kubelet.fails(name, 3)
        for name in self.each("runs", "late", "stopped", "again"):
            self.kubelet.runs(name)
        for name in self.each("ended"):
            self.kubelet.trained(name)
        for name in self.each("stuck"):
            self.kubelet.unschedulable(name, "no node is large enough")
        for name in self.each("serves", "rolls", "fails"):
            self.ready(name)
            self.serving(name, 1)
        for name in self.each("rolls", "fails"):
            self._version(name, 2)
        for name in self.each("fails"):
            self._unloadable(name)
        for name in self.each("stopped"):
            self.space.reaches(name, "Running")
            self.space.edit(name, suspend=True)
        for name in self.each("serves"):
            self._policy(name, {})
        for name in self.each("waits"):
            self._policy(name, {"perennial.dev/run-request": "once"})
            self.kubelet.runs(f"{name}-1")
        for phase, names in {
            "Succeeded": ("done",),
            "Failed": ("broken",),
            "Running": ("runs", "late", "again"),
            "Publishing": ("ended",),
            "Pending": ("stuck",),
            "Suspended": ("held", "stopped"),
        }.items():
            for name in self.each(*names):
                self.space.reaches(name, phase)
        for name in self.each("rolls"):
            eventually(lambda name=name: self.status(name).get("rollout"))  # type: ignore[misc]
        for name in self.each("fails"):
            eventually(lambda name=name: self.status(name).get("vetoes"))  # type: ignore[misc]

    def rest(self) -> None:
        """Return when the operator has asked for nothing for a while."""
        self.space.rests(REST, within=60)

    def state(self) -> State:
        """Everything that is there, by kind and name, without what every write changes."""
        found = {}
        for resource in (*OURS, *CHILDREN):
            for body in self.space.every(resource):
                metadata = body["metadata"]
                kept = {key: metadata[key] for key in METADATA if key in metadata}
                rest = {key: body[key] for key in ("spec", "status") if key in body}
                found[resource.kind, metadata["name"]] = {"metadata": kept, **rest}
        return found

    def status(self, name: str) -> Body:
        """The status of a ModelDeployment."""
        return (self.space.get(MODELDEPLOYMENTS, name) or {}).get("status") or {}

    def serving(self, name: str, version: int) -> None:
        """Wait until a version serves, alone, and the old one's pods are as they stay."""
        wanted = f"{name}-{version}"
        eventually(lambda: not self.status(name).get("rollout") and self.status(name).get("modelVersion") == wanted, 40)

    def ready(self, name: str) -> None:
        """All pods of a ModelDeployment answer, as soon as it rolls out a revision and there is a pod of it."""
        revision = eventually(lambda: (self.status(name).get("rollout") or {}).get("revision"), 30)
        for pod in eventually(lambda: [p for p in self._pods(name) if p["metadata"]["labels"][REVISION] == revision]):
            now = format_time(datetime.now(UTC))
            condition = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            status = {"phase": "Running", "conditions": [condition]}
            self.space.patch(PODS, pod["metadata"]["name"], {"status": status}, "status")

    def _unloadable(self, name: str) -> None:
        """The newest revision's pod ends as one that cannot load its model."""
        pod = eventually(lambda: [pod for pod in self._pods(name) if not pod["status"].get("conditions")])[0]
        ended = {"terminated": {"exitCode": 78, "reason": "Error", "message": "not a model at all"}}
        container = {"name": "server", "image": "mine:1", "imageID": "", "ready": False, "restartCount": 1}
        container |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
        status = {"phase": "Running", "containerStatuses": [container]}
        self.space.patch(PODS, pod["metadata"]["name"], {"status": status}, "status")

    def _pods(self, name: str) -> list[Body]:
        label = "perennial.dev/modeldeployment"
        return [pod for pod in self.space.every(PODS) if pod["metadata"]["labels"].get(label) == name]

    def _make(self, resource: Resource, name: str, spec: Body, annotations: Body | None = None) -> None:
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        self.space.create(head | {"metadata": {"name": name, "annotations": annotations or {}}, "spec": spec})

    def _serve(self, name: str) -> None:
        template = {"spec": {"containers": [{"name": "server", "image": "mine:1"}]}}
        self._make(MODELDEPLOYMENTS, name, {"model": {"name": name}, "template": template, "scaleDownDelay": "2h"})

    def _version(self, name: str, number: int) -> None:
        where = {"uri": f"s3://acme/{name}/{number}", "digest": f"sha256:{number:064x}", "format": "sklearn"}
        self._make(MODELVERSIONS, f"{name}-{number}", {"model": name, "version": number, **where})

    def _policy(self, name: str, annotations: Body) -> None:
        container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
        template = {
            "model": {"name": name},
            "template": {"spec": {"containers": [container]}},
            "output": {"uri": "s3://acme/models"},
        }
        triggers = [
            {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}},
            {"name": "yearly", "schedule": {"cron": "0 0 1 1 *"}},
        ]
        spec = {"deployment": {"name": name}, "trainingJobTemplate": {"spec": template}, "triggers": triggers}
        self._make(RETRAINPOLICIES, name, spec, annotations)
