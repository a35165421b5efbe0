"""What others do to a TrainingJob and its children: refusals, quotas, taken names, edits and deletions by hand."""

import time
from typing import Any

import pytest

from perennial.api.resources import JOBS, PODS, TRAININGJOBS
from perennial.plan import Body
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.space import MERGE, Space


def quota(space: Space, **hard: str) -> None:
    """A ResourceQuota, counted by its controller."""
    path = f"/api/v1/namespaces/{space.name}/resourcequotas"
    space.server.request("POST", path, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    eventually(lambda: space.server.request("GET", path + "/few").get("status", {}).get("hard") == hard)


def test_a_job_that_the_api_server_refuses_is_told_in_its_words_until_it_is_mended(
    space: Space, kubelet: Kubelet
) -> None:
    container = {"name": "main", "image": "train:1", "command": ["python"]}
    container["livenessProbe"] = {"periodSeconds": "often"}
    space.train("wrong", template={"spec": {"containers": [container]}})
    message = space.says("wrong", "Stalled", "BadRequest")
    assert "cannot unmarshal string into Go struct field Probe.spec.template.spec.containers.livenessProbe" in message
    del container["livenessProbe"]
    space.edit("wrong", template={"spec": {"containers": [container | {"imagePullPolicy": "Perhaps"}]}})
    message = space.says("wrong", "Stalled", "Invalid")
    assert 'imagePullPolicy: Unsupported value: "Perhaps": supported values: "Always", "IfNotPresent"' in message
    eventually(lambda: {"Invalid", "BadRequest"} <= {event["reason"] for event in space.events("wrong")})
    space.idle(2)
    space.edit("wrong", template={"spec": {"containers": [container]}})
    kubelet.runs("wrong")
    space.reaches("wrong", "Running")
    assert {c["type"] for c in space.status("wrong")["conditions"]} == {"Running"}


def test_a_job_over_quota_waits_for_its_turn(space: Space, kubelet: Kubelet) -> None:
    quota(space, **{"count/jobs.batch": "1"})
    space.train("first")
    space.there(JOBS, "first")
    space.train("second")
    message = space.says("second", "Stalled", "QuotaExceeded")
    assert "exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=1" in message
    assert space.status("second")["phase"] == "Pending"
    space.delete(TRAININGJOBS, "first")
    kubelet.pod("second")
    eventually(lambda: "Stalled" not in [c["type"] for c in space.status("second")["conditions"]])


def test_a_pod_over_quota_is_told_in_the_words_of_the_jobs_events(space: Space) -> None:
    quota(space, pods="0")
    space.train("none")
    message = space.says("none", "Reconciling", "PodRefused")
    assert "exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=0" in message


def a_job(name: str, **metadata: Any) -> Body:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "theirs:1"}]}}
    metadata["name"] = name
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


@pytest.mark.parametrize("labels", [{}, {"perennial.dev/owned": "true"}], ids=["unseen", "seen"])
def test_somebody_elses_job_of_that_name_is_left_alone(space: Space, kubelet: Kubelet, labels: Body) -> None:
    theirs = space.create(a_job("taken", labels=labels))
    space.train("taken")
    message = space.says("taken", "Stalled", "NameTaken")
    assert message.startswith("Job taken exists and belongs to no object of this operator")
    assert space.there(JOBS, "taken")["spec"] == theirs["spec"]
    assert "ownerReferences" not in space.there(JOBS, "taken")["metadata"]
    assert not space.writes() - space.requests()["patch trainingjobs/status"]
    space.delete(JOBS, "taken")
    eventually(lambda: kubelet.pods("taken"))


def test_a_namesake_that_was_deleted_leaves_no_trace(space: Space, kubelet: Kubelet) -> None:
    space.train("again")
    kubelet.fails("again")
    eventually(lambda: space.status("again").get("failure"))
    space.delete(TRAININGJOBS, "again")
    new = space.train("again")

    def owner() -> str | None:
        job = space.get(JOBS, "again")
        return job["metadata"]["ownerReferences"][0]["uid"] if job else None

    eventually(lambda: owner() == new["metadata"]["uid"], 60)
    kubelet.publishes("again")
    assert len(space.reaches("again", "Succeeded")["attempts"]) == 1


def test_a_child_deleted_by_hand_is_made_again(space: Space, kubelet: Kubelet) -> None:
    space.train("bereft")
    kubelet.runs("bereft")
    space.reaches("bereft", "Running")
    lost = space.there(JOBS, "bereft")["metadata"]["uid"]
    space.delete(JOBS, "bereft")
    eventually(lambda: (space.get(JOBS, "bereft") or {"metadata": {"uid": lost}})["metadata"]["uid"] != lost)
    eventually(lambda: len(kubelet.pods("bereft")) == 1)
    kubelet.publishes("bereft")
    status = space.reaches("bereft", "Succeeded")
    assert [a["outcome"] for a in status["attempts"]] == ["Failed", "Succeeded"]


def test_a_pod_deleted_by_hand_is_an_attempt(space: Space, kubelet: Kubelet) -> None:
    space.train("shot")
    pod = kubelet.runs("shot")
    space.reaches("shot", "Running")
    space.delete(PODS, pod)
    assert kubelet.stops("shot") == pod
    kubelet.publishes("shot")
    assert [a["outcome"] for a in space.reaches("shot", "Succeeded")["attempts"]] == ["Failed", "Succeeded"]


def test_a_child_edited_by_hand_is_put_right_where_it_is_ours(space: Space, kubelet: Kubelet) -> None:
    space.train("edited")
    kubelet.pod("edited")
    space.patch(JOBS, "edited", {"spec": {"suspend": True}, "metadata": {"labels": {"theirs": "kept"}}})
    eventually(lambda: space.there(JOBS, "edited")["spec"]["suspend"] is False)
    assert space.there(JOBS, "edited")["metadata"]["labels"]["theirs"] == "kept"
    # Without the label the Job drops out of what the operator watches.
    space.patch(JOBS, "edited", {"metadata": {"labels": {"perennial.dev/owned": None}}})
    eventually(lambda: space.there(JOBS, "edited")["metadata"]["labels"].get("perennial.dev/owned") == "true")
    kubelet.publishes("edited")
    space.reaches("edited", "Succeeded")
    assert space.requests()["create jobs"] == 1


def test_a_status_written_by_hand_is_put_right(space: Space, kubelet: Kubelet) -> None:
    space.train("vandalised")
    kubelet.runs("vandalised")
    good = space.reaches("vandalised", "Running")
    space.patch(TRAININGJOBS, "vandalised", {"status": {"phase": "Publishing", "jobName": "x"}}, "status")
    eventually(lambda: space.status("vandalised") == good)


def test_it_gets_there_while_others_write_to_the_same_object(space: Space, kubelet: Kubelet) -> None:
    space.train("busy")
    path = TRAININGJOBS.path(space.name, "busy")

    def disturb() -> None:
        for number in range(20):
            space.server.request("PATCH", path, {"metadata": {"annotations": {"n": str(number)}}}, MERGE)

    disturb()
    kubelet.runs("busy")
    disturb()
    kubelet.publishes("busy")
    disturb()
    space.reaches("busy", "Succeeded")
    assert space.requests()["create modelversions"] == 1


def test_deleted_it_takes_its_children_along_and_leaves_its_version(space: Space, kubelet: Kubelet) -> None:
    space.train("done")
    kubelet.publishes("done")
    space.reaches("done", "Succeeded")
    space.train("going")
    pod = kubelet.runs("going")
    space.reaches("going", "Running")
    for name in ("done", "going"):
        (owner,) = space.there(JOBS, name)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("TrainingJob", name, True)
        space.delete(TRAININGJOBS, name)
    eventually(lambda: not space.every(JOBS), 60)
    eventually(lambda: space.get(PODS, pod) is None)
    time.sleep(1)
    assert not space.every(JOBS), "nothing is made again"
    assert space.server.request("GET", f"/apis/perennial.dev/v1alpha1/namespaces/{space.name}/modelversions/churn-1")
