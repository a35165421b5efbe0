"""From the release before to this one and back, under objects in every state: nothing is restarted, nothing is lost."""

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    Resource,
)
from perennial.runtime.merge import difference, shows
from tests.apiserver.operators import ROOT, USER, apply_kinds, eventually
from tests.apiserver.space import WRITES, Space
from tests.prove import releases
from tests.prove.fleet import CHILDREN, OURS, Fleet, State
from tests.prove.releases import Release
from tests.prove.report import Proof, scaled

pytestmark = pytest.mark.proof("Upgrade")

DECIDED = (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELVERSIONS)


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


def test_there_and_back_under_objects_in_every_state(
    server: ApiServer, config: Path, before: Path, proof: Proof
) -> None:
    apply_kinds(server, before)
    with Release(server, "before", config, before) as old:
        old.started()
        fleet = Fleet(Space(server), scaled(5, 1))
        fleet.begin()
        fleet.rest()
        first, asked = fleet.state(), fleet.space.requests()

        with upgraded(server, old, Release(server, "this", config, ROOT)) as this:
            unchanged(fleet, this, first, asked, proof)
            goes_on(fleet)
            middle, then = fleet.state(), fleet.space.requests()
            begun = {("Job", name) for name in fleet.each("held", "new")}
            assert {one for one in middle if one[0] == "Job"} - first.keys() == begun

            with upgraded(server, this, Release(server, "again", config, before)) as again:
                unchanged(fleet, again, middle, then, proof, back=True)
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
    apply_kinds(server, ROOT)
    with Release(server, "now", config, ROOT) as this:
        this.started()
        fleet = Fleet(Space(server), 1)
        for name in fleet.each("runs"):
            fleet.space.train(name)
            fleet.kubelet.runs(name)
            fleet.space.reaches(name, "Running")
        fleet.rest()
        before, asked = fleet.state(), fleet.space.requests()
        with upgraded(server, this, Release(server, "later", config, later(tmp_path))) as successor:
            unchanged(fleet, successor, before, asked, proof)
            (run,) = fleet.space.every(TRAININGJOBS)
            assert (run["spec"]["priority"], run["spec"]["inputs"]) == ("Normal", [])
            fleet.kubelet.publishes("runs-0")
            assert fleet.space.reaches("runs-0", "Succeeded")["modelVersion"] == "churn-1"
    apply_kinds(server, ROOT)


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


@contextmanager
def upgraded(server: ApiServer, leader: Release, successor: Release) -> Iterator[Release]:
    """Another release takes over, as a rolling update of the Deployment has it: it stands by until the other ends."""
    apply_kinds(server, successor.tree)
    with successor:
        eventually(lambda: successor.get("/healthz"), 90)
        leader.signal(signal.SIGTERM)
        assert leader.exit_code(60) == 0
        successor.started()
        yield successor


def unchanged(
    fleet: Fleet, operator: Release, before: State, asked: Counter[str], proof: Proof, *, back: bool = False
) -> None:
    """All is as before, but for what a release says more than the other, once the operator has looked at everything.

    asked: the requests up to then.
    """
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
    # Each object of ours has its status written once where the releases say it in other words, and else not at all. A
    # ModelVersion repeats what deployments say of it, and may do so once more when they say it in other words. What the
    # kinds of an older release do not know goes without a write.
    assert all(what.endswith("/status") for what in writes), writes
    told = [one for one, body in before.items() if body.get("status") != now[one].get("status")]
    repeats = sum(kind == MODELVERSIONS.kind for kind, _ in told)
    assert sum(writes.values()) <= len(told) + repeats, (writes, told)
    proof.count("changes of release")
    proof.count("writes of statuses that a release says in other words", sum(writes.values()))


def made(state: State) -> dict[tuple[str, str], str]:
    """The uid of everything that a restart would make anew."""
    return {one: body["metadata"]["uid"] for one, body in state.items() if one[0] in map(_kind, CHILDREN)}


def _kind(resource: Resource) -> str:
    return resource.kind


def _plain(value: Any) -> Any:
    """Without messages, which are for people, and with conditions in order: none may come or go, but the one that says
    that this release would make a pod otherwise. What /scale selects by, the only selector that is a text, a release
    may choose otherwise.
    """
    if isinstance(value, dict):
        said = {key: item for key, item in value.items() if key != "selector" or not isinstance(item, str)}
        plain = {key: _plain(item) for key, item in said.items() if key != "message" and item is not None}
        if "conditions" in plain:
            told = (condition for condition in plain["conditions"] if condition["type"] != "UpdateAvailable")
            plain["conditions"] = sorted(told, key=lambda condition: condition["type"])
        return plain
    return [_plain(item) for item in value] if isinstance(value, list) else value
