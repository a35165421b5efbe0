"""A TrainingJob's life, turn by turn: what is made, what is said, and that an end is an end."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_DROPPED
from perennial.api.resources import JOBS, PODS, PVCS, TRAININGJOBS
from perennial.plan import Create, Delete, Explain, Patch, See
from perennial.view import Refusal
from tests.unit.trainingjob.builders import DIGEST, NOW, APod, Team, a_run
from tests.world import conditions


def creates(plan: Any) -> list[str]:
    return [f"{a.body['kind']}/{a.body['metadata']['name']}" for a in plan.actions if isinstance(a, Create)]


def test_the_job_is_made_before_any_status() -> None:
    plan = Team().decide()
    assert creates(plan) == ["Job/churn-1"]
    assert plan.status is None


def test_a_run_without_an_output_gets_the_namespaces_claim_once() -> None:
    team = Team(a_run(output={}))
    assert creates(team.decide()) == ["PersistentVolumeClaim/perennial-models", "Job/churn-1"]
    other = Team(a_run(output={}))
    other.world.add(team.world.get(PVCS, "team", "perennial-models") or {})
    assert creates(other.decide()) == ["Job/churn-1"]


def test_a_quick_run_is_written_thrice_at_most() -> None:
    team = Team().started()
    team.pod().running()
    plan = team.decide()
    assert plan.status
    assert plan.status["phase"] == "Running"
    assert plan.status_delay > 0
    team.world.remove(team.world.list(PODS, "team")[0])
    team.pod().published(metrics={"accuracy": 0.9})
    team.job_is("Complete")
    plan = team.decide()
    assert team.status["phase"] == "Publishing"
    assert team.status["result"]["digest"] == DIGEST
    assert plan.status_delay == 0
    give_version(team)
    team.settle()
    assert team.status["phase"] == "Succeeded"
    assert team.status["modelVersion"] == "churn-1"
    assert conditions(team.status) == {"Complete": ("True", "Published"), "Running": ("False", "Published")}
    assert team.status["metrics"] == {"accuracy": 0.9}


def test_a_wait_or_an_upload_that_is_soon_over_is_not_written() -> None:
    team = Team()
    team.decide()
    assert team.decide().status_delay >= 10, "without a pod"
    pod = team.pod()
    del team.run["status"]
    assert team.decide().status_delay >= 10, "being prepared"
    pod.running()
    team.settle()
    pod.trained()
    assert team.decide().status_delay >= 10, "publishing"
    pod.published()
    plan = team.decide()
    assert team.status["result"]["digest"] == DIGEST
    assert plan.status_delay == 0, "the Job controller comes later, and would say the same"


def test_lifting_a_suspension_is_seen_soon() -> None:
    team = Team(a_run(suspend=True))
    team.settle()
    team.run["spec"]["suspend"] = False
    team.decide()
    assert team.decide().status_delay <= 1


def give_version(team: Team, number: int = 1) -> None:
    uid = team.run["metadata"]["uid"]
    meta = {"namespace": "team", "uid": "m"}
    team.world.add(
        {
            "apiVersion": "perennial.dev/v1alpha1",
            "kind": "Model",
            "metadata": {"name": "churn", **meta},
            "status": {"reserved": [{"version": number, "uid": uid}]},
        },
        {
            "apiVersion": "perennial.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": f"churn-{number}", **meta},
            "spec": {"model": "churn", "version": number, "trainingJob": {"name": "churn-1", "uid": uid}},
        },
    )


def succeeded() -> Team:
    team = Team().started()
    team.pod().published()
    team.job_is("Complete")
    give_version(team)
    team.settle()
    assert team.status["phase"] == "Succeeded"
    return team


def failed() -> Team:
    team = Team(a_run(backoffLimit=0)).started()
    team.pod().failed(exit_code=3)
    team.job_is("Failed", "BackoffLimitExceeded")
    team.settle()
    assert team.status["phase"] == "Failed"
    return team


@pytest.mark.parametrize("ended", [succeeded, failed])
@given(data=st.data())
def test_terminal_is_terminal_whatever_vanishes(ended: Any, data: Any) -> None:
    team = ended()
    for body in data.draw(st.lists(st.sampled_from(list(team.world.objects.values())), unique_by=id)):
        if body is not team.run:
            team.world.remove(body)
    team.run["spec"]["suspend"] = data.draw(st.booleans())
    before = deepcopy(team.status)
    for _ in range(3):
        plan = team.after(data.draw(st.floats(0, 1e6))).decide()
        assert not creates(plan)
    assert team.status == before


FAILURES = {
    "exit code": (lambda p: p.failed(3), "TrainingFailed", "exit code 3", 3),
    "exit code with a message": (lambda p: p.failed(1, message="no column age"), "TrainingFailed", "no column age", 1),
    "traceback": (lambda p: p.failed(1, message="File\n" * 600 + "KeyError: x\n"), "TrainingFailed", "KeyError: x", 1),
    "out of memory": (lambda p: p.failed(137, "OOMKilled"), "OutOfMemory", "limits.memory", 137),
    "killed": (lambda p: p.failed(137), "Killed", "SIGKILL", 137),
    "told to stop": (
        lambda p: p.failed(143, answered="Interrupted"),
        "Interrupted",
        "nothing was published",
        143,
    ),
    "143 by itself": (lambda p: p.failed(143), "TrainingFailed", "exit code 143 (SIGTERM)", 143),
    "segfault": (lambda p: p.failed(139), "TrainingFailed", "exit code 139 (SIGSEGV)", 139),
    "no signal": (lambda p: p.failed(255), "TrainingFailed", "exit code 255", 255),
    "lost": (
        lambda p: p.failed(137, "ContainerStatusUnknown", "could not be located"),
        "ContainerLost",
        "does not know any more how the training ended: could not be located",
        137,
    ),
    "agent killed": (lambda p: p.agent_killed(), "AgentFailed", "exit code 137 (SIGKILL) before it had published", 137),
    "agent out of memory": (lambda p: p.agent_killed("OOMKilled"), "AgentFailed", "exit code 137 (OOMKilled)", 137),
    "wrong command": (lambda p: p.failed(127, message="no such file"), "StartError", "no such file", 127),
    "start error": (lambda p: p.failed(128, "StartError", "exec format"), "StartError", "exec format", 128),
    "empty output": (lambda p: p.agent_failed("OutputEmpty", "nothing in it"), "OutputEmpty", "nothing in it", 1),
    "bad metrics": (lambda p: p.agent_failed("MetricsInvalid", "accuracy: NaN"), "MetricsInvalid", "accuracy", 1),
    "store down": (lambda p: p.agent_failed("StoreUnavailable", "s3 acme"), "StoreUnavailable", "s3 acme", 1),
    "evicted": (lambda p: p.phase("Failed", reason="Evicted", message="disk"), "Evicted", "disk", None),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_says_what_happened(case: str) -> None:
    tell, reason, words, code = FAILURES[case]
    team = Team(a_run(backoffLimit=0)).started()
    tell(team.pod())
    team.job_is("Failed", "BackoffLimitExceeded")
    plan = team.decide()
    failure = team.status["failure"]
    assert (failure["reason"], failure.get("exitCode")) == (reason, code)
    assert words in failure["message"]
    assert conditions(team.status)["Failed"] == ("True", reason)
    assert [event.reason for event in plan.events] == [reason]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"reason": "DigestMismatch", "message": "input dataset: ..."}}, "DigestMismatch"),
        ({"error": {"reason": "InputNotFound", "message": "input dataset: ..."}}, "InputNotFound"),
    ],
)
def test_a_failed_prepare_names_the_input(answer: Any, reason: str) -> None:
    team = Team(a_run(backoffLimit=0)).started()
    team.pod().state("prepare", terminated={"exitCode": 1, "message": json.dumps(answer)}).phase("Failed")
    team.job_is("Failed", "BackoffLimitExceeded")
    team.decide()
    assert team.status["failure"]["reason"] == reason
    assert "dataset" in team.status["failure"]["message"]


def test_a_failure_is_told_once() -> None:
    team = Team(a_run(backoffLimit=0)).started()
    team.pod().failed(3)
    assert [event.reason for event in team.decide().events] == ["TrainingFailed"]
    team.job_is("Failed", "BackoffLimitExceeded")
    assert not team.decide().events
    assert team.status["phase"] == "Failed"


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_container_that_outlives_the_training_is_named(exit_code: int) -> None:
    team = Team().started()
    pod = team.pod().published() if exit_code == 0 else team.pod().failed(exit_code)
    pod.state("train", terminated={"exitCode": exit_code, "startedAt": format_time(NOW)})
    pod.state("other", running={"startedAt": format_time(NOW)}).phase("Running")
    team.settle()
    assert conditions(team.status)["Reconciling"] == ("True", "ContainerRunning")
    words = team.status["conditions"][-1]["message"]
    assert "container other" in words
    assert "initContainers" in words


def test_a_training_that_ended_badly_is_told_although_its_pod_is_slow_to_end() -> None:
    team = Team(a_run(backoffLimit=0)).started()
    pod = team.pod().trained(139)
    plan = team.decide()
    assert plan.status_delay > 0, "most often the pod ends a moment later"
    assert team.status["failure"]["reason"] == "TrainingFailed"
    assert "exit code 139 (SIGSEGV)" in team.status["failure"]["message"]
    assert conditions(team.status)["Running"] == ("True", "Ending")
    assert [event.reason for event in plan.events] == ["TrainingFailed"]
    before = deepcopy(team.status)
    team.after(3).decide()
    assert team.status == before, "it is told once"
    pod.failed(139)
    team.decide()
    team.job_is("Failed", "BackoffLimitExceeded")
    assert not team.decide().events, "it was told"
    assert team.status["phase"] == "Failed"


def test_of_one_that_ends_as_if_told_to_stop_the_agent_is_asked() -> None:
    team = Team(a_run(backoffLimit=0)).started()
    team.pod().trained(143)
    team.decide()
    assert "failure" not in team.status


def test_a_retry_shows_what_the_attempt_before_it_failed_with() -> None:
    team = Team().started()
    team.pod(1).failed(3)
    team.settle()
    assert team.status["phase"] == "Pending"
    assert team.status["failure"]["exitCode"] == 3
    team.pod(2).running()
    team.settle()
    assert (team.status["phase"], team.status["attempt"]) == ("Running", 2)
    assert [(a["pod"], a["outcome"]) for a in team.status["attempts"]] == [
        ("churn-1-p1", "Failed"),
        ("churn-1-p2", "Active"),
    ]


def test_ten_disruptions_are_forgiven_and_not_eleven() -> None:
    team = Team().started()
    for number in range(1, 11):
        pod = team.pod(number).disrupted()
        team.settle()
        team.world.remove(pod.body)
    assert team.status["phase"] == "Pending"
    team.pod(11).disrupted()
    team.settle()
    assert team.status["failure"]["reason"] == "TooManyDisruptions"
    assert team.job["spec"]["activeDeadlineSeconds"] == 1


WAITS = {
    "ImagePullBackOff": lambda p: p.state("main", waiting={"reason": "ImagePullBackOff", "message": "no such image"}),
    "Unschedulable": lambda p: p.condition("PodScheduled", "False", "Unschedulable", "0/1 nodes: Insufficient cpu"),
    "CreateContainerConfigError": lambda p: p.state(
        "main", waiting={"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}
    ),
}


@pytest.mark.parametrize("reason", WAITS)
def test_what_holds_a_pod_is_on_the_status_at_once(reason: str) -> None:
    team = Team().started()
    WAITS[reason](team.pod())
    plan = team.decide()
    assert plan.status_delay == 0
    assert team.status["phase"] == "Pending"
    assert conditions(team.status)["Running"] == ("False", reason)


def test_a_node_that_is_not_heard_of_is_told_with_what_can_be_done_and_so_is_its_return() -> None:
    team = Team().started()
    pod = team.pod().on_lost_node()
    plan = team.decide()
    assert plan.status_delay == 0
    assert team.status["phase"] == "Running"
    assert conditions(team.status)["Running"] == ("True", "NodeNotReady")
    assert [event.reason for event in plan.events] == ["NodeNotReady"]
    assert "node node7 is not ready since 2026-11-20T12:00:50Z" in plan.events[0].message
    assert "delete it" in plan.events[0].message
    pod.body["metadata"]["deletionTimestamp"] = format_time(NOW)
    pod.condition("DisruptionTarget", reason="DeletionByTaintManager")
    team.settle()
    assert conditions(team.status)["Running"] == ("True", "NodeNotReady"), "it cannot end while its node is gone"
    del pod.body["metadata"]["deletionTimestamp"]
    pod.body["status"]["conditions"] = [{"type": type_, "status": "True"} for type_ in ("ContainersReady", "Ready")]
    team.settle()
    assert conditions(team.status)["Running"] == ("True", "Training")


def test_a_pod_that_is_not_ready_for_a_reason_of_its_own_is_on_no_lost_node() -> None:
    team = Team().started()
    pod = team.pod().on_lost_node()
    pod.body["status"]["conditions"][-1]["reason"] = "ReadinessGatesNotReady"
    team.settle()
    assert conditions(team.status)["Running"] == ("True", "Training")


def test_a_job_without_a_pod_is_asked_why_once_its_controller_had_it() -> None:
    team = Team().started()
    assert not team.after(60).decide().actions, "in a burst the Job controller comes late"
    team.job["status"] = {"startTime": format_time(team.now)}
    assert not team.decide().actions
    plan = team.after(4).decide()
    assert [type(action) for action in plan.actions] == [Explain]
    refused = 'Error creating: pods "churn-1-{}" is forbidden: exceeded quota: compute'
    team.world.explanations[JOBS, "team", "churn-1"] = refused.format("x7k2p")
    plan = team.decide()
    assert plan.status
    assert conditions(team.status)["Running"] == ("False", "PodRefused")
    words = "the cluster refuses its pod, and is asked again: exceeded quota: compute"
    assert [event.message for event in plan.events] == [words]
    before = team.status
    team.world.explanations[JOBS, "team", "churn-1"] = refused.format("b9q4z")
    team.decide()
    assert team.status == before, "the next try is no news"


def test_a_refused_job_is_told_and_tried_again() -> None:
    team = Team()
    key = (TRAININGJOBS, "team", "churn-1")
    team.world.refusals[key] = Refusal(JOBS, "churn-1", "Invalid", "spec.template.spec.containers[0].image: Required")
    plan = team.decide()
    assert creates(plan) == ["Job/churn-1"]
    assert conditions(plan.status or {})["Stalled"] == ("True", "Invalid")


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no command": (
        {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}},
        "spec.template.spec.containers[0].command",
    ),
    "unknown runtime": ({"runtime": "nope"}, "spec.runtime: there is no training runtime 'nope'"),
    "two containers": (
        {"template": {"spec": {"containers": [{"name": "a", "command": ["a"]}, {"name": "b", "command": ["b"]}]}}},
        "must be named 'train'",
    ),
    "our own name": ({"template": {"spec": {"containers": [{"name": "agent", "command": ["a"]}]}}}, "'agent'"),
    "no container": ({"template": {}}, "spec.template.spec.containers"),
    "clashing parameters": ({"parameters": {"a-b": 1, "a_b": 2}}, "'a-b' and 'a_b' are both PERENNIAL_PARAM_A_B"),
    "of another version": ({"backoffLimit": "three"}, "spec.backoffLimit"),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_spec_that_cannot_be_rendered_names_the_field(case: str) -> None:
    spec, words = INVALID[case]
    team = Team(a_run(**spec))
    plan = team.settle()
    assert not plan.actions
    condition = next(one for one in team.status["conditions"] if one["type"] == "Stalled")
    assert words in condition["message"]


def test_put_right_it_trains() -> None:
    team = Team(a_run(runtime="nope"))
    team.settle()
    del team.run["spec"]["runtime"]
    assert creates(team.decide()) == ["Job/churn-1"]


def test_suspended_from_the_start_makes_no_job() -> None:
    team = Team(a_run(suspend=True))
    team.settle()
    assert team.status["phase"] == "Suspended"
    team.run["spec"]["suspend"] = False
    assert creates(team.decide()) == ["Job/churn-1"]


def test_suspending_stops_the_pods_and_keeps_the_clock() -> None:
    team = Team(a_run(activeDeadlineSeconds=100)).started()
    pod = team.pod().running()
    team.settle()
    team.after(60).run["spec"]["suspend"] = True
    team.settle()
    assert team.job["spec"]["suspend"] is True
    assert (team.status["phase"], team.status["runningSeconds"]) == ("Suspended", 60)
    team.world.remove(pod.body)
    team.after(1000).run["spec"]["suspend"] = False
    team.settle()
    assert team.job["spec"]["suspend"] is False
    team.pod(2).running(team.now)
    plan = team.settle()
    assert plan.requeue_after == pytest.approx(40)
    team.after(41).settle()
    assert team.status["failure"]["reason"] == "DeadlineExceeded"


def test_a_training_that_has_ended_is_published_before_it_is_suspended() -> None:
    team = Team().started()
    team.pod().trained()
    team.run["spec"]["suspend"] = True
    team.settle()
    assert team.job["spec"]["suspend"] is False
    assert team.status["phase"] == "Publishing"


def test_the_active_deadline_does_not_cut_publishing_off() -> None:
    team = Team(a_run(activeDeadlineSeconds=10)).started()
    team.pod().running()
    team.settle()
    team.world.remove(team.world.list(PODS, "team")[0])
    team.pod().trained()
    team.after(60).settle()
    assert team.status["phase"] == "Publishing"


def test_the_wait_has_its_own_deadline_and_says_what_it_waited_for() -> None:
    team = Team(a_run(pendingDeadlineSeconds=30)).started()
    team.pod().state("main", waiting={"reason": "ImagePullBackOff", "message": "no such image"})
    team.settle()
    team.after(31).settle()
    assert team.status["failure"]["reason"] == "PendingDeadlineExceeded"
    assert "no such image" in team.status["failure"]["message"]
    assert team.job["spec"]["activeDeadlineSeconds"] == 1


def test_a_wait_that_is_too_long_for_its_inputs_says_so() -> None:
    team = Team(a_run(pendingDeadlineSeconds=30)).started()
    team.pod().state("prepare", running={"startedAt": format_time(NOW)})
    team.after(31).settle()
    assert team.status["failure"]["reason"] == "PendingDeadlineExceeded"
    assert "is being prepared: kubectl logs churn-1-p1 -c prepare" in team.status["failure"]["message"]


def test_the_wait_counts_from_the_start_although_nothing_is_written_of_it() -> None:
    team = Team(a_run(pendingDeadlineSeconds=5)).started()
    del team.run["status"]
    plan = team.after(3).decide()
    assert (plan.requeue_after, plan.status_delay) == (pytest.approx(2), 30)
    del team.run["status"]
    team.after(2).decide()
    assert team.status["failure"]["reason"] == "PendingDeadlineExceeded"


STUCK = {
    "StartError": lambda p: p.trained(128, "StartError", "exec: python"),
    "AgentFailed": lambda p: p.running().state("agent", terminated={"exitCode": 137, "message": "boom"}),
}


@pytest.mark.parametrize("reason", STUCK)
def test_a_pod_that_cannot_end_is_ended_after_the_reason_is_recorded(reason: str) -> None:
    team = Team().started()
    pod = team.pod()
    STUCK[reason](pod)
    plan = team.decide()
    assert not plan.actions
    assert team.status["failure"]["reason"] == reason
    assert team.decide().actions == [Delete(PODS, "team", pod.body["metadata"]["name"], pod.body["metadata"]["uid"])]


def test_a_lost_message_is_looked_for_in_the_store() -> None:
    team = Team().started()
    team.job_is("Complete")
    assert creates(team.decide()) == ["Job/churn-1-recover"]
    recovery = team.world.get(JOBS, "team", "churn-1-recover")
    assert recovery
    pod = APod(recovery)
    pod.state("recover", terminated={"exitCode": 0, "message": json.dumps({"uri": "s3://a/b", "digest": DIGEST})})
    team.world.add(pod.phase("Succeeded").body)
    team.decide()
    assert team.status["result"]["uri"] == "s3://a/b"


def test_a_job_that_ended_waits_for_what_its_pod_says() -> None:
    team = Team().started()
    team.pod(1).failed(3)
    pod = team.pod(2).running()
    team.settle()
    before = deepcopy(team.status)
    team.job_is("Failed", "BackoffLimitExceeded")
    team.decide()
    assert team.status == before, "the watch of the pods is late"
    pod.failed(4)
    team.decide()
    assert team.status["failure"]["exitCode"] == 4
    other = Team().started()
    other.pod().running()
    other.settle()
    other.job_is("Complete")
    plan = other.decide()
    assert (plan.actions, plan.status) == ([See(JOBS, "team", "churn-1")], None), "nothing is lost yet"


def test_before_an_end_for_good_the_pods_are_read_that_nobody_told_of() -> None:
    team = Team().started()
    team.job_is("Complete")
    plan = team.decide()
    assert plan.actions[0] == See(JOBS, "team", "churn-1"), "its pod may have published, and not have been told of"
    recovery = team.world.get(JOBS, "team", "churn-1-recover")
    assert recovery
    recovery["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    plan = team.decide()
    assert team.status["failure"]["reason"] == "ResultLost"
    assert list(plan.actions) == [See(JOBS, "team", "churn-1-recover")]
    failed = Team(a_run(backoffLimit=0)).started()
    failed.job_is("Failed", "BackoffLimitExceeded")
    assert list(failed.decide().actions) == [See(JOBS, "team", "churn-1")]


def test_once_it_is_over_no_attempt_is_active() -> None:
    team = Team(a_run(activeDeadlineSeconds=10)).started()
    team.pod().running()
    team.settle()
    team.after(11).decide()
    assert [(a["outcome"], a["reason"]) for a in team.status["attempts"]] == [("Failed", "DeadlineExceeded")]


def test_a_refused_recovery_is_told() -> None:
    team = Team().started()
    team.job_is("Complete")
    team.world.refusals[TRAININGJOBS, "team", "churn-1"] = Refusal(JOBS, "churn-1-recover", "QuotaExceeded", "no more")
    plan = team.decide()
    assert creates(plan) == ["Job/churn-1-recover"]
    assert conditions(team.status)["Stalled"] == ("True", "QuotaExceeded")


def test_an_external_run_that_left_no_result_failed() -> None:
    run = a_run(output={"mode": "External"}, template={"spec": {"containers": [{"name": "main", "image": "x"}]}})
    team = Team(run).started()
    assert [c["name"] for c in team.job["spec"]["template"]["spec"]["containers"]] == ["main"]
    team.pod().state("main", terminated={"exitCode": 0}).phase("Succeeded")
    team.job_is("Complete")
    team.settle()
    assert team.status["failure"]["reason"] == "ResultMissing"


def test_an_external_run_that_left_an_error_failed_with_it() -> None:
    run = a_run(output={"mode": "External"}, template={"spec": {"containers": [{"name": "main", "image": "x"}]}})
    team = Team(run).started()
    error = json.dumps({"error": {"reason": "TrainingFailed", "message": "no rows of today"}})
    team.pod().state("main", terminated={"exitCode": 0, "message": error}).phase("Succeeded")
    team.job_is("Complete")
    team.settle()
    assert team.status["phase"] == "Failed"
    assert team.status["failure"]["message"] == "no rows of today"


def test_the_job_of_a_namesake_is_not_its_own() -> None:
    team = Team().started()
    team.pod().published()
    team.job["metadata"]["ownerReferences"][0]["uid"] = "uid-of-one-that-was-deleted"
    plan = team.decide()
    assert [action.body["metadata"]["name"] for action in plan.actions if isinstance(action, Create)] == ["churn-1"]
    assert plan.status is None


def test_an_edit_after_the_start_is_shown_and_changes_nothing() -> None:
    team = Team().started()
    team.pod().running()
    team.settle()
    job = deepcopy(team.job)
    team.run["spec"]["template"]["spec"]["containers"][0]["args"] = ["--more"]
    team.settle()
    assert conditions(team.status)["SpecChanged"] == ("True", "ChangedAfterStart")
    assert team.job == job


def test_a_default_that_another_release_fills_in_is_no_edit() -> None:
    team = Team().started()
    team.pod().running()
    team.settle()
    job = deepcopy(team.job)
    # A default of a field that is there, of one within another, and of a field that only that release knows.
    team.run["spec"] |= {"publishDeadlineSeconds": 1800, "priority": "Normal"}
    team.run["spec"]["output"]["mode"] = "Managed"
    team.settle()
    assert "SpecChanged" not in conditions(team.status)
    assert team.job == job
    team.run["spec"]["parameters"] = {"depth": 7}
    team.settle()
    assert "SpecChanged" in conditions(team.status)


def test_what_the_cluster_left_out_of_the_job_is_said_at_once_and_to_the_end() -> None:
    team = Team().started()
    assert team.job
    team.job["metadata"]["annotations"][ANNOTATION_DROPPED] = "spec.template.spec.hostUsers"
    team.pod()
    assert team.decide().status_delay == 0, "before it has trained for hours"
    team.pod(2).published()
    give_version(team)
    team.settle()
    assert team.status["phase"] == "Succeeded"
    assert conditions(team.status)["FieldsDropped"] == ("True", "NotInThisCluster")


def test_what_a_run_is_recorded_with_is_what_it_was_trained_with() -> None:
    edits: dict[str, Any] = {
        "model": {"name": "other"},
        "parameters": {"depth": 7},
        "inputs": [{"name": "other", "uri": "s3://a/other"}],
        "storage": {"secretName": "other"},
        "code": {"revision": "other"},
    }
    told: dict[str, Any] = {
        "model": {"name": "churn"},
        "parameters": {"depth": 6},
        "inputs": [{"name": "data", "uri": "s3://a/b"}],
        "storage": {"secretName": "acme"},
        "code": {"revision": "abc"},
    }
    team = Team(a_run(**told)).started()
    # Before the first status the API server lets every edit pass.
    team.run["spec"].update(edits)
    team.job_is("Complete")
    team.decide()
    recovery = team.world.get(JOBS, "team", "churn-1-recover")
    assert recovery
    assert '"destination":"s3://acme/models/churn/' in json.dumps(recovery).replace("\\", "")
    team.world.remove(recovery)
    team.pod().published()
    team.decide()
    assert team.status["result"]["origin"] == told | {"model": "churn"}


def test_an_edit_after_the_start_is_not_rendered_when_the_job_is_gone() -> None:
    team = Team().started()
    team.world.remove(team.job)
    team.run["spec"]["parameters"] = {"depth": 7}
    plan = team.settle()
    assert not plan.actions
    assert conditions(team.status)["Stalled"] == ("True", "InvalidSpec")
    del team.run["spec"]["parameters"]
    assert creates(team.decide()) == ["Job/churn-1"]


@pytest.mark.parametrize(
    "field", ["suspend", "activeDeadlineSeconds", "pendingDeadlineSeconds", "ttlSecondsAfterFinished"]
)
def test_what_may_change_is_no_spec_change(field: str) -> None:
    team = Team().started()
    team.pod().running()
    team.run["spec"][field] = True if field == "suspend" else 5000
    team.settle()
    assert "SpecChanged" not in conditions(team.status)


def test_the_ttl_deletes_the_run_when_it_has_passed() -> None:
    team = succeeded()
    team.run["spec"]["ttlSecondsAfterFinished"] = 60
    assert team.decide().requeue_after == pytest.approx(60)
    plan = team.after(60).decide()
    assert [type(action) for action in plan.actions] == [Delete]


def test_a_failed_run_stops_what_still_runs_and_only_that() -> None:
    team = Team(a_run(activeDeadlineSeconds=5)).started()
    team.pod().running()
    team.settle()
    team.after(6).settle()
    assert isinstance(team.plans[-2].actions[0], Patch)
    assert team.status["completionTime"] == format_time(team.now)
    team.job_is("Failed", "DeadlineExceeded")
    assert not team.settle().actions


def test_a_child_deleted_by_hand_is_made_again() -> None:
    team = Team().started()
    team.pod().running()
    team.settle()
    team.world.remove(team.world.list(PODS, "team")[0])
    team.world.remove(team.job)
    assert creates(team.decide()) == ["Job/churn-1"]


def test_start_time_is_the_first_pods_and_stays() -> None:
    team = Team().started()
    team.pod(1).running(NOW)
    team.settle()
    team.after(100)
    team.pod(2).running(team.now)
    team.settle()
    assert team.status["startTime"] == format_time(NOW)
