"""The life of a TrainingJob on a real API server, with the real operator and the real Job controller."""

import time
import urllib.error
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, MODELS, MODELVERSIONS, PODS, PVCS, TRAININGJOBS
from tests.apiserver.kubelet import DIGEST, Kubelet
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space


@pytest.fixture(scope="module", autouse=True)
def slow(perennial: Perennial, controlled: ApiServer) -> Space:
    """Runs that take longer than the other tests."""
    space = Space(controlled)
    for name in ("waits", "uploads"):
        space.train(name)
    Kubelet(space).trained("uploads")
    return space


def test_a_run_from_its_manifest_to_its_version(space: Space, kubelet: Kubelet) -> None:
    made = space.train("churn-1", parameters={"depth": 6}, code={"revision": "abc"})
    assert made["status"] == {"phase": "Pending", "observedGeneration": 0}, "for people and kstatus, before any write"
    pod = kubelet.runs("churn-1")
    status = space.reaches("churn-1", "Running")
    assert (status["attempt"], status["attempts"]) == (1, [{"pod": pod, "outcome": "Active"}])
    assert status["jobName"] == "churn-1"
    assert pod in space.says("churn-1", "Running", "Training")
    table = space.server.kubectl("get", "-n", space.name, "trainingjobs")
    assert {"churn-1", "churn", "Running", "Training"} <= set(table.split())

    kubelet.publishes("churn-1", metrics={"accuracy": 0.93})
    status = space.reaches("churn-1", "Succeeded")
    assert status["modelVersion"] == "churn-1"
    assert status["metrics"] == {"accuracy": 0.93}
    assert status["attempts"] == [{"pod": pod, "outcome": "Succeeded"}]
    assert status["completionTime"] >= status["startTime"]
    assert "churn-1" in space.says("churn-1", "Complete", "Published")

    version = space.there(MODELVERSIONS, "churn-1")["spec"]
    assert version["digest"] == DIGEST
    assert version["metrics"] == {"accuracy": 0.93}
    assert version["parameters"] == {"depth": 6}
    assert version["code"] == {"revision": "abc"}
    assert version["image"].endswith("@sha256:" + "b" * 64)
    assert version["trainingJob"] == {"name": "churn-1", "uid": made["metadata"]["uid"]}
    assert space.there(MODELS, "churn")["status"]["highestVersion"] == 1
    eventually(lambda: "Succeeded" in {event["reason"] for event in space.events("churn-1")})
    space.idle(2)


def test_few_writes_no_reads_and_nothing_when_idle(space: Space, kubelet: Kubelet) -> None:
    runs = [f"plain-{number}" for number in range(5)]
    for name in runs:
        space.train(name, model={"name": name})
    for name in runs:
        kubelet.runs(name)
    for name in runs:
        space.reaches(name, "Running")
        kubelet.publishes(name)
    for name in runs:
        space.reaches(name, "Succeeded")
    time.sleep(1)
    asked = space.requests()
    assert asked["create jobs"] == len(runs)
    assert asked["patch trainingjobs/status"] <= 3 * len(runs)
    assert space.writes() <= 6 * len(runs), "standards: at most 6 writes in the life of a run"
    assert not [what for what in asked if what.split()[0] in ("get", "list", "watch")], "standards: no reads"
    space.idle(2)


WAITS: dict[str, tuple[Any, str]] = {
    "Unschedulable": (
        lambda k, run: k.unschedulable(run, "0/3 nodes are available: 3 Insufficient cpu."),
        "cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu.",
    ),
    "ImagePullBackOff": (
        lambda k, run: k.waits(run, "main", "ImagePullBackOff", 'Back-off pulling image "train:1"'),
        "container main of pod {pod} waits: its image cannot be pulled",
    ),
    "CreateContainerConfigError": (
        lambda k, run: k.waits(run, "prepare", "CreateContainerConfigError", 'secret "acme-s3" not found'),
        'container prepare of pod {pod} waits: its configuration refers to something that is missing. secret "acme-s3"',
    ),
}


@pytest.mark.parametrize("reason", WAITS)
def test_what_holds_a_pod_is_told_in_words_and_goes_when_it_is_over(
    space: Space, kubelet: Kubelet, reason: str
) -> None:
    hold, words = WAITS[reason]
    space.train("held", storage={"secretName": "acme-s3"})
    pod = hold(kubelet, "held")
    began = time.monotonic()
    message = space.says("held", "Reconciling", reason)
    assert time.monotonic() - began < 5, "within seconds"
    assert words.format(pod=pod) in message
    assert space.status("held")["phase"] == "Pending"
    eventually(lambda: [e for e in space.events("held") if e["type"] == "Warning" and e["reason"] == reason])
    kubelet.runs("held")
    space.reaches("held", "Running")
    assert {c["type"] for c in space.status("held")["conditions"]} == {"Running"}


def test_a_failed_attempt_is_told_and_the_next_one_may_succeed(space: Space, kubelet: Kubelet) -> None:
    space.train("again", backoffLimit=1)
    first = kubelet.fails("again", 3, "no column age")
    eventually(lambda: space.status("again").get("failure"))
    failure = space.status("again")["failure"]
    assert (failure["reason"], failure["exitCode"], failure["pod"]) == ("TrainingFailed", 3, first)
    assert "no column age" in failure["message"]
    second = kubelet.publishes("again")
    status = space.reaches("again", "Succeeded")
    assert status["attempts"] == [
        {"pod": first, "outcome": "Failed", "reason": "TrainingFailed"},
        {"pod": second, "outcome": "Succeeded"},
    ]
    assert status["attempt"] == 2
    assert "failure" not in status, "what an attempt failed with does not stay on a success"


def test_a_pod_lost_to_the_infrastructure_is_not_counted(space: Space, kubelet: Kubelet) -> None:
    space.train("drained", backoffLimit=0)
    lost = kubelet.loses("drained")
    eventually(lambda: space.status("drained").get("attempts", [{}])[0].get("outcome") == "Disrupted")
    kubelet.publishes("drained")
    status = space.reaches("drained", "Succeeded")
    assert [(a["pod"] == lost, a["outcome"]) for a in status["attempts"]] == [(True, "Disrupted"), (False, "Succeeded")]


def test_held_from_the_start_it_makes_no_job_and_everything_may_be_edited(space: Space, kubelet: Kubelet) -> None:
    space.train("held", suspend=True)
    space.reaches("held", "Suspended")
    assert space.get(JOBS, "held") is None
    space.edit("held", model={"name": "other"}, backoffLimit=7)
    space.edit("held", suspend=False)
    assert space.there(JOBS, "held")["spec"]["backoffLimit"] == 7
    kubelet.publishes("held")
    assert space.reaches("held", "Succeeded")["modelVersion"] == "other-1"


def test_suspended_in_the_middle_it_starts_again_from_the_beginning(space: Space, kubelet: Kubelet) -> None:
    space.train("paused")
    first = kubelet.runs("paused")
    space.reaches("paused", "Running")
    time.sleep(1)
    space.edit("paused", suspend=True)
    status = space.reaches("paused", "Suspended")
    assert status["runningSeconds"] >= 1
    eventually(lambda: space.get(PODS, first) is None)
    space.idle(1)
    space.edit("paused", suspend=False)
    second = kubelet.runs("paused")
    status = space.reaches("paused", "Running")
    assert [a["pod"] for a in status["attempts"]] == [first, second]
    kubelet.publishes("paused")
    space.reaches("paused", "Succeeded")
    assert space.requests()["create jobs"] == 1


def test_suspended_while_publishing_it_is_published_first(space: Space, kubelet: Kubelet) -> None:
    space.train("late")
    kubelet.trained("late")
    space.edit("late", suspend=True)
    time.sleep(1)
    assert space.there(JOBS, "late")["spec"]["suspend"] is False
    kubelet.publishes("late")
    space.reaches("late", "Succeeded")


def test_the_pending_deadline_ends_the_wait_and_says_what_it_waited_for(space: Space, kubelet: Kubelet) -> None:
    space.train("waits", pendingDeadlineSeconds=2)
    pod = kubelet.unschedulable("waits", "0/3 nodes are available")
    failure = space.reaches("waits", "Failed")["failure"]
    assert failure["reason"] == "PendingDeadlineExceeded"
    assert "0/3 nodes are available" in failure["message"]
    eventually(lambda: space.get(PODS, pod) is None)
    space.idle(1)


def test_the_active_deadline_ends_the_training(space: Space, kubelet: Kubelet) -> None:
    space.train("long", activeDeadlineSeconds=2)
    pod = kubelet.runs("long")
    space.reaches("long", "Running")
    failure = space.reaches("long", "Failed")["failure"]
    assert failure["reason"] == "DeadlineExceeded"
    assert "activeDeadlineSeconds (2)" in failure["message"]
    eventually(lambda: space.get(PODS, pod) is None)
    # Terminal is terminal: a longer deadline does not bring it back.
    space.edit("long", activeDeadlineSeconds=1000)
    space.delete(JOBS, "long")
    time.sleep(1)
    assert space.get(JOBS, "long") is None
    assert space.status("long")["phase"] == "Failed"


def test_a_deadline_may_be_set_while_it_runs(space: Space, kubelet: Kubelet) -> None:
    space.train("long")
    kubelet.runs("long")
    space.reaches("long", "Running")
    space.edit("long", activeDeadlineSeconds=1)
    assert space.reaches("long", "Failed")["failure"]["reason"] == "DeadlineExceeded"


def test_the_ttl_deletes_the_run_but_not_its_version(space: Space, kubelet: Kubelet) -> None:
    space.train("brief", ttlSecondsAfterFinished=2)
    kubelet.publishes("brief")
    space.reaches("brief", "Succeeded")
    eventually(lambda: space.get(TRAININGJOBS, "brief") is None)
    assert space.get(MODELVERSIONS, "churn-1")


def test_a_lost_message_is_recovered_from_the_store(space: Space, kubelet: Kubelet) -> None:
    space.train("lost")
    kubelet.ends("lost", "Succeeded", {"prepare": (0,), "main": (0,), "agent": (0,)})
    status = space.reaches("lost", "Publishing")
    assert space.says("lost", "Reconciling", "Recovering")
    answer = f'{{"uri": "s3://acme/models/churn/x", "digest": "{DIGEST}", "format": "sklearn"}}'
    kubelet.ends("lost", "Succeeded", {"recover": (0, answer)}, job="lost-recover")
    status = space.reaches("lost", "Succeeded")
    assert status["result"]["uri"] == "s3://acme/models/churn/x"
    assert space.requests()["create jobs"] == 2


def test_a_training_that_publishes_by_itself(space: Space, kubelet: Kubelet) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "train:1"}]}}
    space.train("mlflow", output={"mode": "External"}, template=template)
    assert [c["name"] for c in kubelet.pod("mlflow")["spec"]["containers"]] == ["main"]
    answer = f'{{"uri": "s3://mlflow/7", "digest": "{DIGEST}", "metrics": {{"auc": 0.8}}}}'
    kubelet.ends("mlflow", "Succeeded", {"prepare": (0,), "main": (0, answer)})
    status = space.reaches("mlflow", "Succeeded")
    assert status["metrics"] == {"auc": 0.8}
    assert space.there(MODELVERSIONS, "churn-1")["spec"]["uri"] == "s3://mlflow/7"


def test_a_preset_fills_what_the_template_leaves_out(space: Space, kubelet: Kubelet) -> None:
    template = {"spec": {"containers": [{"name": "train", "image": "mine:2"}]}}
    space.train("preset", runtime="sklearn", template=template)
    train = next(c for c in kubelet.pod("preset")["spec"]["containers"] if c["name"] == "train")
    assert (train["image"], train["command"]) == ("mine:2", ["/perennial/bin/launch", "--", "python", "preset.py"])


def test_without_an_output_the_namespace_gets_a_claim_once(space: Space, kubelet: Kubelet) -> None:
    for name in ("one", "two"):
        space.train(name, output={}, model={"name": name})
    for name in ("one", "two"):
        volumes = kubelet.pod(name)["spec"]["volumes"]
        assert "perennial-models" in [v.get("persistentVolumeClaim", {}).get("claimName") for v in volumes]
    assert space.there(PVCS, "perennial-models")["spec"]["resources"]["requests"] == {"storage": "10Gi"}
    assert space.requests()["create persistentvolumeclaims"] == 1


def test_a_claim_of_that_name_made_by_hand_will_do(space: Space) -> None:
    asked = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    made = space.make(PVCS, "perennial-models", asked)
    space.train("first", output={})
    space.there(JOBS, "first")
    assert (space.get(PVCS, "perennial-models") or {})["spec"] == made["spec"]


def test_a_typo_is_fixed_by_an_edit_before_the_job_exists(space: Space) -> None:
    space.train("typo", runtime="sklaern")
    message = space.says("typo", "Stalled", "InvalidSpec")
    assert "spec.runtime: there is no training runtime 'sklaern'; the operator has: sklearn" in message
    assert space.get(JOBS, "typo") is None
    space.idle(1)
    space.edit("typo", runtime="sklearn")
    space.there(JOBS, "typo")
    eventually(lambda: "Stalled" not in [c["type"] for c in space.status("typo")["conditions"]])


FIXED: dict[str, Any] = {
    "model": {"name": "other"},
    "runtime": "sklearn",
    "template": {"spec": {"containers": [{"name": "main", "image": "other:1", "command": ["python"]}]}},
    "inputs": [{"name": "data", "uri": "s3://a/b"}],
    "output": {"uri": "s3://elsewhere/models"},
    "storage": {"secretName": "other"},
    "code": {"revision": "x"},
    "backoffLimit": 9,
    "publishDeadlineSeconds": 99,
}


def test_once_the_job_is_told_the_declared_fields_are_fixed_and_the_clocks_are_not(
    space: Space, kubelet: Kubelet
) -> None:
    container = {"name": "main", "image": "train:1", "command": ["python"], "args": ["--a"], "tty": False}
    space.train("fixed", template={"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}})
    kubelet.runs("fixed")
    space.reaches("fixed", "Running")
    # Also what the schema does not declare.
    for template in ({"metadata": {"labels": {"a": "c"}}}, {"spec": {"containers": [container | {"args": ["--b"]}]}}):
        with pytest.raises(urllib.error.HTTPError):
            space.edit("fixed", template=template)
    for field, value in FIXED.items():
        with pytest.raises(urllib.error.HTTPError) as refused:
            space.edit("fixed", **{field: value})
        words = refused.value.read().decode()
        assert f"spec.{field}" in words
        assert "cannot change once the Job is made: apply a TrainingJob of another name" in words
    free = {"activeDeadlineSeconds": 100, "pendingDeadlineSeconds": 100, "ttlSecondsAfterFinished": 100}
    space.edit("fixed", **free, suspend=False)


def test_an_edit_that_the_schema_cannot_see_is_told_and_has_no_effect(space: Space, kubelet: Kubelet) -> None:
    space.train("edited", parameters={"depth": 6})
    kubelet.runs("edited")
    space.reaches("edited", "Running")
    job = space.there(JOBS, "edited")["spec"]
    space.edit("edited", parameters={"depth": 7})
    assert "the edit has no effect on this run" in space.says("edited", "SpecChanged", "ChangedAfterStart")
    assert space.there(JOBS, "edited")["spec"] == job
    kubelet.publishes("edited")
    space.reaches("edited", "Succeeded")
    assert space.there(MODELVERSIONS, "churn-1")["spec"]["parameters"] == {"depth": 6}, "what it was trained with"


def test_a_long_wait_and_a_long_upload_are_told(slow: Space) -> None:
    pod = Kubelet(slow).pod("waits")["metadata"]["name"]
    assert f"pod {pod} is being prepared" in slow.says("waits", "Reconciling", "Preparing", 45)
    assert slow.status("waits")["phase"] == "Pending"
    assert slow.says("uploads", "Reconciling", "Publishing")
    assert slow.status("uploads")["phase"] == "Publishing"
