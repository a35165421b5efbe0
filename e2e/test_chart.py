"""The chart's life on a cluster that serves: upgrade, uninstall, install again; and the policies that it brings."""

import json
from collections.abc import Iterator

import pytest

from e2e import operators
from e2e.lab import SYSTEM, Body, Failed, Lab
from e2e.load import Load
from e2e.served import odd_server, tried
from e2e.space import Space, digits, serving, shell, training
from e2e.store import Store

EDITOR = ("--as=editor", "--as-group=system:authenticated")


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    """A served version, and who may edit there."""
    space = Space(lab, "e2e-chart")
    space.use(store)
    space.apply(digits("first"), serving("digits"))
    space.serves("digits", 1)
    space.kubectl("create", "rolebinding", "editors", "--clusterrole=edit", "--user=editor")
    return space


@pytest.fixture(scope="module")
def load(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Somebody asks all the while."""
    url = f"{space.address('digits')}/v2/health/ready"
    with Load(space.lab, tmp_path_factory.mktemp("chart"), url, rate=20) as load:
        yield load


def _servers(space: Space) -> dict[str, int]:
    deployment = space.get("modeldeployment", "digits") or {}
    return space.servers("digits", deployment["status"]["stableRevision"])


def test_an_upgrade_rolls_the_operator_and_restarts_nothing(space: Space, load: Load, lab: Lab) -> None:
    serving_before, operators_before = _servers(space), {pod["metadata"]["uid"] for pod in operators.pods(lab)}
    lab.install("logLevel=DEBUG", "defaults.agentResources.requests.cpu=20m", "modelCache.enabled=true")
    operators_after = {pod["metadata"]["uid"] for pod in operators.ready(lab)}
    assert not operators_before & operators_after
    said = space.says("modeldeployment", "digits", "UpdateAvailable", "True")
    assert "preset" in said["message"]
    assert _servers(space) == serving_before
    assert load.counts()["failures"] == 0, load.counts()


def test_the_next_pod_takes_its_model_from_its_node_when_the_store_has_lost_it(space: Space, store: Store) -> None:
    node = space.lab.kubectl("get", "nodes", "-o", "name").split()[-1].removeprefix("node/")
    template = odd_server({"nodeSelector": {"kubernetes.io/hostname": node}})
    space.apply(tried(store, "kept", 1), serving("kept", replicas=1, template=template))
    space.serves("kept", 1)
    (revision,) = (space.get("modeldeployment", "kept") or {})["status"]["revisions"]
    (first,) = space.servers("kept", revision["name"])
    store.remove("kept/1")
    space.kubectl("delete", "pod", "-l", f"perennial.dev/revision={revision['name']}")
    space.until("another pod serves it", lambda: set(space.servers("kept", revision["name"])) - {first}, 60)
    logs = space.kubectl("logs", "-l", f"perennial.dev/revision={revision['name']}", "-c", "fetch", "--tail=-1")
    assert "taken from the node's cache" in logs


def test_a_version_in_use_cannot_be_deleted(space: Space) -> None:
    space.until("the version knows who serves it", lambda: _record(space)["status"].get("servedBy") == ["digits"])
    with pytest.raises(Failed, match="it is served by digits: let the ModelDeployment serve another version"):
        space.kubectl("delete", "modelversion", "digits-1")


def test_approving_asks_for_a_right_of_its_own(space: Space) -> None:
    approval = json.dumps({"spec": {"approval": "Approved", "approvedBy": "editor"}})
    words = ("patch", "modelversion", "digits-1", "--type=merge", f"-p={approval}", *EDITOR)
    with pytest.raises(Failed, match="editor may not approve or reject: the verb `approve` on modelversions"):
        space.kubectl(*words)
    space.kubectl("create", "role", "approver", "--verb=approve", "--resource=modelversions.perennial.dev")
    space.kubectl("create", "rolebinding", "approvers", "--role=approver", "--user=editor")
    space.until(
        "editor may approve", lambda: space.lab.run("kubectl", "-n", space.name, *words, check=False).returncode == 0
    )
    assert _record(space)["spec"]["approvedBy"] == "editor"
    somebody_else = approval.replace("editor", "starter")
    with pytest.raises(Failed, match=r"must name who writes spec\.approval: editor"):
        space.kubectl("patch", "modelversion", "digits-1", "--type=merge", f"-p={somebody_else}", *EDITOR)


def test_who_may_create_no_pods_trains_nothing(space: Space) -> None:
    job = json.dumps(training("theirs", shell("true")))
    space.kubectl("create", "rolebinding", "writers", f"--clusterrole={SYSTEM}-perennial-edit", "--user=starter")

    def said(user: str) -> str:
        words = ("kubectl", "-n", space.name, "create", "--dry-run=server", "-f=-", f"--as={user}")
        done = space.lab.run(*words, stdin=job, check=False)
        return done.stdout + done.stderr

    space.until("starter is told what he lacks", lambda: "starter may not create pods" in said("starter"), 30)
    space.until("editor may", lambda: "trainingjob.perennial.dev/theirs created" in said("editor"), 30)


def test_what_runs_and_what_is_recorded_outlives_the_release(space: Space, load: Load, lab: Lab) -> None:
    before = _servers(space)
    lab.run("helm", "uninstall", "perennial", "--namespace", SYSTEM, "--wait", "--timeout", "120s")
    lab.until("the operator is gone", lambda: not operators.pods(lab), 60)
    assert "trainingjobs.perennial.dev" in lab.kubectl("get", "crd", "-o", "name")
    assert _record(space)["spec"]["model"] == "digits"
    space.apply(training("meanwhile", shell('echo weights > "$PERENNIAL_OUTPUT_DIR/weights.txt"')))
    asked = load.sent()
    space.until("requests are answered on", lambda: load.sent() > asked + 100)
    assert not space.every("jobs", "perennial.dev/trainingjob=meanwhile")

    lab.install()
    operators.ready(lab)
    assert space.finished("meanwhile")["status"]["phase"] == "Succeeded"
    space.serves("digits", 1)
    space.until("nothing is to be updated any more", lambda: not _update_available(space))
    assert _servers(space) == before
    with pytest.raises(Failed, match="it is served by digits"):
        space.kubectl("delete", "modelversion", "digits-1")
    assert load.stop()["failures"] == 0, load.counts()


def _record(space: Space) -> Body:
    return space.get("modelversion", "digits-1") or {}


def _update_available(space: Space) -> bool:
    conditions = (space.get("modeldeployment", "digits") or {})["status"]["conditions"]
    return any(one["type"] == "UpdateAvailable" and one["status"] == "True" for one in conditions)
