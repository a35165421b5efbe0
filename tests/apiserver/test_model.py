"""Version numbers on a real API server: given once, in order, under concurrency and beside what people apply."""

from typing import Any

from perennial.api.resources import MODELS, MODELVERSIONS, TRAININGJOBS
from tests.apiserver.kubelet import DIGEST, Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.space import Space


def a_version(number: int, **spec: Any) -> dict[str, Any]:
    spec = {"model": "churn", "version": number, "uri": "s3://mine/x", "digest": DIGEST, "format": "onnx", **spec}
    metadata = {"name": f"churn-{number}"}
    return {"apiVersion": MODELVERSIONS.api_version, "kind": "ModelVersion", "metadata": metadata, "spec": spec}


def versions(space: Space) -> dict[int, dict[str, Any]]:
    return {body["spec"]["version"]: body["spec"] for body in space.every(MODELVERSIONS)}


def test_many_runs_of_one_model_get_the_numbers_one_to_n(space: Space, kubelet: Kubelet) -> None:
    runs = [f"run-{number:02}" for number in range(20)]
    uids = {name: space.train(name)["metadata"]["uid"] for name in runs}
    for name in runs:
        kubelet.publishes(name, metrics={"accuracy": 0.9})
    status = {name: space.reaches(name, "Succeeded", 40) for name in runs}
    found = versions(space)
    assert sorted(found) == list(range(1, 21))
    assert {spec["trainingJob"]["uid"] for spec in found.values()} == set(uids.values())
    for name in runs:
        number = int(status[name]["modelVersion"].removeprefix("churn-"))
        assert found[number]["trainingJob"] == {"name": name, "uid": uids[name]}
        assert found[number]["uri"] == f"s3://acme/models/{name}"
    model = space.there(MODELS, "churn")["status"]
    assert model["highestVersion"] == 20
    asked = space.requests()
    assert asked["create modelversions"] == 20
    assert asked["create models"] == 1
    space.idle(2)


def test_a_persons_own_version_is_counted_and_never_touched(space: Space, kubelet: Kubelet) -> None:
    mine = space.create(a_version(7))
    eventually(lambda: space.get(MODELS, "churn"))
    assert space.there(MODELS, "churn")["status"]["highestVersion"] == 7
    space.train("next")
    kubelet.publishes("next")
    assert space.reaches("next", "Succeeded")["modelVersion"] == "churn-8"
    assert space.there(MODELVERSIONS, "churn-7") == mine


def test_a_deleted_version_leaves_a_gap(space: Space, kubelet: Kubelet) -> None:
    space.train("one")
    kubelet.publishes("one")
    assert space.reaches("one", "Succeeded")["modelVersion"] == "churn-1"
    space.delete(MODELVERSIONS, "churn-1")
    eventually(lambda: space.get(MODELVERSIONS, "churn-1") is None)
    space.train("two")
    kubelet.publishes("two")
    assert space.reaches("two", "Succeeded")["modelVersion"] == "churn-2"
    assert space.status("one")["modelVersion"] == "churn-1"
    space.idle(1)
    assert space.get(MODELVERSIONS, "churn-1") is None, "a deleted version is not made again"


def test_a_deleted_model_is_made_again_with_its_memory_of_the_versions(space: Space, kubelet: Kubelet) -> None:
    space.create(a_version(3))
    space.there(MODELS, "churn")
    space.delete(MODELS, "churn")
    eventually(lambda: (space.get(MODELS, "churn") or {}).get("status", {}).get("highestVersion") == 3)


def test_an_approval_shows_in_the_overview(space: Space) -> None:
    space.create(a_version(1))
    space.patch(MODELVERSIONS, "churn-1", {"spec": {"approval": "Approved", "approvedBy": "admin"}})
    eventually(lambda: (space.get(MODELS, "churn") or {}).get("status", {}).get("latestApproved") == 1)
    table = space.server.kubectl("get", "-n", space.name, "models", "--no-headers")
    assert table.split()[:3] == ["churn", "1", "1"]


def test_a_version_outlives_its_run(space: Space, kubelet: Kubelet) -> None:
    space.train("brief")
    kubelet.publishes("brief")
    space.reaches("brief", "Succeeded")
    space.delete(TRAININGJOBS, "brief")
    eventually(lambda: space.get(TRAININGJOBS, "brief") is None)
    assert "ownerReferences" not in space.there(MODELVERSIONS, "churn-1")["metadata"]
    space.idle(1)
