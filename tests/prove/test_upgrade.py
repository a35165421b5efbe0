"""From the release before to this one and back, under objects in every state: nothing is restarted, nothing is lost."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
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
from perennial.runtime.merge import difference, shows
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import ROOT, USER, eventually
from tests.apiserver.space import WRITES, Space
from tests.prove import releases
from tests.prove.releases import Release
from tests.prove.report import Proof, scaled

pytestmark = pytest.mark.proof("Upgrade")

OURS = (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELS, MODELVERSIONS)
DECIDED = (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELVERSIONS)
State = dict[tuple[str, str], Body]
METADATA = ("uid", "labels", "annotations", "ownerReferences")
CHILDREN = (JOBS, PODS, DEPLOYMENTS, SERVICES, PVCS)
REVISION = "perennial.dev/revision"
# After this long without a request of the operator all is at rest; it looks at everything within a second of its start.
REST = 3.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of the module's own: its kinds change."""
    folder = tmp_path_factory.mktemp("upgrade")
    with ApiServer(folder, users={USER: ["system:masters"]}, audit=True, controller_manager=True) as server:
        yield server


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The tree of the release before."""
    return releases.unpack(releases.BEFORE, tmp_path)


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
        deadline = time.monotonic() + 60
        known, since = self.space.requests(), time.monotonic()
        while time.monotonic() - since < REST:
            time.sleep(0.3)
            if (now := self.space.requests()) != known:
                known, since = now, time.monotonic()
            assert time.monotonic() < deadline, f"it does not come to rest: {known}"

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


def test_there_and_back_under_objects_in_every_state(
    server: ApiServer, config: Path, before: Path, proof: Proof
) -> None:
    apply(server, before)
    with Release(server, "before", config, before) as old:
        eventually(old.watches, 90)
        fleet = Fleet(Space(server), scaled(5, 1))
        fleet.begin()
        fleet.rest()
        first, asked = fleet.state(), fleet.space.requests()

        with upgraded(server, old, Release(server, "this", config, ROOT)) as this:
            unchanged(fleet, this, first, proof)
            goes_on(fleet)
            middle = fleet.state()
            begun = {("Job", name) for name in fleet.each("held", "new")}
            assert {one for one in middle if one[0] == "Job"} - first.keys() == begun

            with upgraded(server, this, Release(server, "again", config, before)) as again:
                unchanged(fleet, again, middle, proof, back=True)
                ends(fleet)
                last = fleet.state()

    assert made(first).items() <= made(middle).items() <= made(last).items()
    asked = fleet.space.requests() - asked
    for resource in (JOBS, DEPLOYMENTS, MODELVERSIONS):
        new = [name for kind, name in last.keys() - first.keys() if kind == resource.kind]
        assert asked[f"create {resource.plural}"] == len(new) > 0
    assert {name for kind, name in last if kind == "TrainingJob"} == {name for kind, name in last if kind == "Job"}
    assert not [what for what in asked if what.startswith("delete")]
    proof.count("objects", sum(kind in map(_kind, OURS) for kind, _ in first))
    proof.count("Jobs, pods, Deployments and Services", sum(kind in map(_kind, CHILDREN) for kind, _ in first))


def test_a_default_that_a_later_release_brings_is_no_edit(
    server: ApiServer, config: Path, tmp_path: Path, proof: Proof
) -> None:
    apply(server, ROOT)
    with Release(server, "now", config, ROOT) as this:
        eventually(this.watches, 90)
        fleet = Fleet(Space(server), 1)
        for name in fleet.each("runs"):
            fleet.space.train(name)
            fleet.kubelet.runs(name)
            fleet.space.reaches(name, "Running")
        fleet.rest()
        before = fleet.state()
        with upgraded(server, this, Release(server, "later", config, later(tmp_path))) as successor:
            unchanged(fleet, successor, before, proof)
            (run,) = fleet.space.every(TRAININGJOBS)
            assert (run["spec"]["priority"], run["spec"]["inputs"]) == ("Normal", [])
            fleet.kubelet.publishes("runs-0")
            assert fleet.space.reaches("runs-0", "Succeeded")["modelVersion"] == "churn-1"
    apply(server, ROOT)


def later(folder: Path) -> Path:
    """The tree of a release that has a default for a field of today, and a field that is not there today."""
    for part in ("operator", "crds"):
        shutil.copytree(ROOT / part, folder / part)
    path = folder / "crds" / "perennial.dev_trainingjobs.yaml"
    crd = yaml.safe_load(path.read_text())
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["priority"] = {"type": "string", "default": "Normal"}
    fields["inputs"]["default"] = []
    path.write_text(json.dumps(crd))
    return folder


def goes_on(fleet: Fleet) -> None:
    """What was under way comes further, what was held begins, and what is new is dealt with."""
    space, kubelet = fleet.space, fleet.kubelet
    for name in fleet.each("runs", "ended"):
        kubelet.publishes(name)
    for name in fleet.each("held"):
        space.edit(name, suspend=False)
        kubelet.runs(name)
    for name in fleet.each("new"):
        space.train(name, model={"name": name})
        kubelet.runs(name)
    for name in fleet.each("rolls"):
        fleet.ready(name)
    for name in fleet.each("runs", "ended"):
        assert space.reaches(name, "Succeeded")["modelVersion"] == f"{name}-1"
    for name in fleet.each("held", "new"):
        space.reaches(name, "Running")
    for name in fleet.each("rolls"):
        fleet.serving(name, 2)
    fleet.rest()


def ends(fleet: Fleet) -> None:
    """Everything comes to its end, whichever release began it."""
    space, kubelet = fleet.space, fleet.kubelet
    trained = fleet.each("late", "again", "held", "new", "stopped")
    for name in fleet.each("stopped"):
        space.edit(name, suspend=False)
    for name in (*trained, *(f"{policy}-1" for policy in fleet.each("waits"))):
        kubelet.publishes(name)
    for name in trained:
        assert space.reaches(name, "Succeeded")["modelVersion"] == f"{name}-1"
    for name in fleet.each("waits"):
        fleet.ready(name)
        fleet.serving(name, 1)
    fleet.rest()


def apply(server: ApiServer, tree: Path) -> None:
    """The CustomResourceDefinitions of a release, as the chart brings them."""
    server.kubectl("apply", "--server-side", "-f", str(tree / "crds"))
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(tree / "crds"))


@contextmanager
def upgraded(server: ApiServer, leader: Release, successor: Release) -> Iterator[Release]:
    """Another release takes over, as a rolling update of the Deployment has it: it stands by until the other ends."""
    apply(server, successor.tree)
    with successor:
        eventually(lambda: successor.get("/healthz"), 90)
        leader.signal(signal.SIGTERM)
        assert leader.exit_code(60) == 0
        eventually(successor.watches, 90)
        yield successor


def unchanged(fleet: Fleet, operator: Release, before: State, proof: Proof, *, back: bool = False) -> None:
    """All is as before, but for what a release says more than the other, once the operator has looked at everything."""
    asked = fleet.space.requests()
    eventually(
        lambda: (
            operator.metric("controller_runtime_reconcile_total")
            >= sum(kind in map(_kind, DECIDED) for kind, _ in before)
        ),
        60,
    )
    fleet.rest()
    writes = {what: n for what, n in (fleet.space.requests() - asked).items() if what.split()[0] in WRITES}
    now = fleet.state()
    assert now.keys() == before.keys()
    assert made(now) == made(before)
    for one, body in before.items():
        more, less = (body, now[one]) if back else (now[one], body)
        if one[0] in map(_kind, CHILDREN):
            assert (one, now[one]["spec"]) == (one, body["spec"])
        assert shows(_plain(more), _plain(less)), (one, difference(_plain(body), _plain(now[one])))
    # Each object of ours has its status written once where the releases say it in other words, and else not at all.
    assert all(what.endswith("/status") for what in writes), writes
    told = [one for one, body in before.items() if body.get("status") != now[one].get("status")]
    assert sum(writes.values()) == len(told), (writes, told)
    proof.count("changes of release")
    proof.count("writes of statuses that a release says in other words", sum(writes.values()))


def made(state: State) -> dict[tuple[str, str], str]:
    """The uid of everything that a restart would make anew."""
    return {one: body["metadata"]["uid"] for one, body in state.items() if one[0] in map(_kind, CHILDREN)}


def _kind(resource: Resource) -> str:
    return resource.kind


def _plain(value: Any) -> Any:
    """Without messages, which are for people, and with conditions in order: none may come or go."""
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items() if key != "message" and item is not None}
        if "conditions" in plain:
            plain["conditions"].sort(key=lambda condition: condition["type"])
        return plain
    return [_plain(item) for item in value] if isinstance(value, list) else value
