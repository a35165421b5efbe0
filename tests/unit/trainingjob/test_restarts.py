"""Runs whose every attempt is a Job of its own: several nodes that stand and fall together, and rules for failures."""

from datetime import timedelta
from typing import Any

import pytest

from perennial.api.resources import JOBS, PODS, SERVICES
from perennial.api.trainingjob import Failure, FailureAction, FailureRule
from perennial.config import Config
from perennial.plan import Body, Create
from perennial.trainingjob.restarts import judged
from tests.unit.trainingjob.builders import NOW, Team, a_run
from tests.world import conditions

THREE: Body = {"framework": "torch", "nodes": 3}
LATER = NOW + timedelta(seconds=1)


def a_gang(distribution: Body = THREE, **spec: Any) -> Team:
    return Team(a_run(distribution=distribution, **spec)).started()


def ends(team: Team) -> Team:
    """Its Job stops what still runs, and has then failed."""
    for pod in team.world.list(PODS, "team"):
        if pod["status"]["phase"] not in ("Failed", "Succeeded"):
            team.world.remove(pod)
    return team.job_is("Failed", "BackoffLimitExceeded")


def names(team: Team) -> list[str]:
    return [body["metadata"]["name"] for body in team.world.list(JOBS, "team")]


def test_a_gang_has_names_before_it_has_a_job_and_all_of_its_pods_at_once() -> None:
    team = a_gang()
    kinds = [action.body["kind"] for action in team.plans[0].actions]  # type: ignore[union-attr]
    assert kinds == ["Service", "Job"]
    spec, labels = team.job["spec"], team.job["spec"]["template"]["metadata"]["labels"]
    assert {field: spec[field] for field in ("completions", "parallelism", "completionMode", "backoffLimit")} == {
        "completions": 3,
        "parallelism": 3,
        "completionMode": "Indexed",
        "backoffLimit": 0,
    }
    assert (labels["perennial.dev/attempt"], "podFailurePolicy" in spec, "successPolicy" in spec) == ("1", False, False)
    (service,) = team.world.list(SERVICES, "team")
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"] == "peers-churn-1"
    assert service["spec"]["selector"].items() <= labels.items()


def test_somebodys_deleting_of_the_names_is_mended_while_the_run_goes_on() -> None:
    team = a_gang()
    (service,) = team.world.list(SERVICES, "team")
    team.world.remove(service)
    team.settle()
    assert team.world.list(SERVICES, "team")


def test_the_names_of_a_namesake_are_not_its_own() -> None:
    team = Team(a_run(distribution=THREE))
    owner = {"kind": "TrainingJob", "name": "churn-1", "uid": "uid-before", "controller": True}
    metadata = {"name": "peers-churn-1", "namespace": "team", "ownerReferences": [owner]}
    team.world.add({"apiVersion": "v1", "kind": "Service", "metadata": metadata})
    made = [action.body["kind"] for action in team.decide().actions if isinstance(action, Create)]
    assert made == ["Service", "Job"], "which the API server refuses, and that is told"


def test_it_runs_when_all_nodes_train() -> None:
    team = a_gang()
    first, second, third = team.nodes()
    first.running()
    second.running(LATER)
    team.after(60).settle()
    assert team.status["phase"] == "Pending"
    assert "(2 of 3 nodes train)" in conditions_message(team)
    third.running(NOW + timedelta(seconds=30))
    team.settle()
    assert (team.status["phase"], team.status["startTime"]) == ("Running", "2026-11-20T12:00:30Z")
    assert conditions_message(team) == "training in 3 pods, kubectl logs churn-1-p1 -c main tells how far it is"
    assert team.status["attempts"] == [{"pod": "churn-1-p1", "outcome": "Active"}]


def test_a_node_that_has_no_pod_yet_is_missed() -> None:
    team = a_gang()
    pods = team.nodes()
    for pod in pods:
        pod.running()
    team.world.remove(pods[2].body)
    team.after(60).settle()
    assert team.status["phase"] == "Pending"
    assert conditions_message(team) == "waiting for the Job's pods: 2 of 3 are there"


def test_what_holds_one_node_holds_all() -> None:
    team = a_gang()
    first, second, third = team.nodes()
    first.running()
    second.running()
    third.condition("PodScheduled", "False", "Unschedulable", "0/2 nodes: Insufficient cpu")
    team.settle()
    assert conditions(team.status)["Running"] == ("False", "Unschedulable")


def test_one_that_fails_ends_all_and_all_are_tried_again_after_a_while() -> None:
    team = a_gang()
    first, second, third = team.nodes()
    for pod in (first, second, third):
        pod.running()
    team.settle()
    # Its peers lose the connection, and one of them is seen first.
    first.failed(1, at=LATER)
    second.failed(137, "OOMKilled")
    team.settle()
    assert names(team) == ["churn-1"], "the third has yet to end"
    ends(team).settle()
    assert team.status["phase"] == "Pending"
    assert team.status["failure"]["reason"] == "OutOfMemory"
    assert team.status["attempts"] == [{"pod": "churn-1-p2", "outcome": "Failed", "reason": "OutOfMemory"}]
    assert "the next begins in 10 s" in conditions_message(team)
    team.after(9).settle()
    assert names(team) == ["churn-1"]
    team.after(1).settle()
    assert names(team) == ["churn-1", "churn-1-a2"]
    assert team.job["spec"]["template"]["metadata"]["labels"]["perennial.dev/attempt"] == "2"
    for pod in team.nodes():
        pod.running()
    team.settle()
    assert (team.status["phase"], team.status["attempt"], team.status["jobName"]) == ("Running", 2, "churn-1-a2")
    assert "the attempt before failed: the training was ended for using more memory" in conditions_message(team)


def test_the_limit_counts_attempts_of_all_nodes_and_the_wait_doubles() -> None:
    team = a_gang(backoffLimit=2)
    waits = []
    for _ in range(2):
        for pod in team.nodes():
            pod.failed(3)
        plan = ends(team).settle()
        waits.append(plan.requeue_after)
        team.after(plan.requeue_after or 0).settle()
    for pod in team.nodes():
        pod.failed(3)
    ends(team).settle()
    assert waits == [10, 20]
    assert names(team) == ["churn-1", "churn-1-a2", "churn-1-a3"]
    assert (team.status["phase"], team.status["failure"]["exitCode"]) == ("Failed", 3)
    assert "(spec.backoffLimit of 2 is used up)" in team.status["failure"]["message"]
    assert [row["outcome"] for row in team.status["attempts"]] == ["Failed"] * 3


def test_a_lost_node_is_not_counted_though_its_peers_fail_before_it_ends() -> None:
    team = a_gang(backoffLimit=0)
    first, second, third = team.nodes()
    first.failed(1)
    second.failed(143, at=LATER).disrupted()
    third.failed(1)
    ends(team).settle()
    assert team.status["attempts"][0]["outcome"] == "Disrupted"
    assert names(team) == ["churn-1", "churn-1-a2"], "at once"


def test_ten_lost_attempts_are_forgiven_and_not_eleven() -> None:
    team = a_gang()
    for _ in range(11):
        team.nodes()[1].running().disrupted()
        ends(team).settle()
    assert team.status["phase"] == "Failed"
    assert "(10 attempts that are not counted are used up)" in team.status["failure"]["message"]
    assert len(names(team)) == 11


def test_a_pod_that_somebody_deleted_fails_the_attempt() -> None:
    team = a_gang()
    for pod in team.nodes():
        pod.running()
    team.settle()
    for body in team.world.list(PODS, "team"):
        team.world.remove(body)
    ends(team).settle()
    assert team.status["attempts"][0]["reason"] == "PodGone"


@pytest.mark.parametrize("success", ["All", "Leader"])
def test_the_leaders_model_is_published_when_the_job_is_complete(success: str) -> None:
    team = a_gang({**THREE, "success": success})
    assert team.job["spec"].get("successPolicy") == (
        {"rules": [{"succeededIndexes": "0"}]} if success == "Leader" else None
    )
    first, second, third = team.nodes()
    first.published(digest="sha256:" + "1" * 64)
    second.running()
    third.running()
    team.after(60).settle()
    assert team.status["phase"] == ("Publishing" if success == "Leader" else "Running")
    assert "result" not in team.status, "the Job says when that is enough"
    second.trained().phase("Succeeded")
    third.trained().phase("Succeeded")
    team.settle()
    assert team.status["phase"] == "Publishing"
    team.job_is("Complete").settle()
    assert team.status["result"]["digest"] == "sha256:" + "1" * 64


def test_a_suspended_gang_begins_no_other_attempt() -> None:
    team = a_gang()
    team.nodes()[0].failed(1)
    ends(team).settle()
    team.run["spec"]["suspend"] = True
    team.after(600).settle()
    assert (team.status["phase"], names(team)) == ("Suspended", ["churn-1"])
    team.run["spec"]["suspend"] = False
    team.settle()
    assert names(team) == ["churn-1", "churn-1-a2"]


def test_an_attempt_whose_job_is_deleted_by_hand_is_made_again() -> None:
    team = a_gang()
    team.nodes()[0].failed(1)
    ends(team).settle()
    team.after(10).settle()
    for pod in team.nodes():
        pod.running()
    team.settle()
    for job in team.world.list(JOBS, "team"):
        team.world.remove(job)
    team.settle()
    assert names(team) == ["churn-1-a2"]


def test_a_preset_that_is_edited_meanwhile_changes_no_later_attempt() -> None:
    def presets(image: str) -> Config:
        containers = [{"name": "train", "image": image, "command": ["python", "t.py"]}]
        return Config.model_validate({"trainingRuntimes": {"wide": {"template": {"spec": {"containers": containers}}}}})

    team = Team(a_run(distribution=THREE, runtime="wide", template={}), presets("train:1")).started()
    ends(team).settle()
    team.config = presets("train:2")
    team.after(10).settle()
    assert names(team) == ["churn-1", "churn-1-a2"]
    assert team.job["spec"]["template"]["spec"]["containers"][0]["image"] == "train:1"


ELASTIC: Body = {"framework": "torch", "elastic": {"minNodes": 2, "maxNodes": 3}}


def test_an_elastic_run_is_as_wide_as_it_may_be_and_its_lost_pods_are_made_anew_one_by_one() -> None:
    team = a_gang(ELASTIC)
    spec = team.job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (3, 3, 0)
    assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}


def test_an_elastic_run_runs_with_as_few_as_it_needs_and_goes_on_without_one() -> None:
    team = a_gang(ELASTIC)
    first, second, third = team.nodes()
    first.running()
    third.condition("PodScheduled", "False", "Unschedulable", "0/2 nodes: Insufficient cpu")
    team.settle()
    assert conditions(team.status)["Running"] == ("False", "Unschedulable")
    second.running(LATER)
    team.settle()
    assert (team.status["phase"], team.status["startTime"]) == ("Running", "2026-11-20T12:00:01Z")
    assert conditions_message(team).startswith("training in 2 of 3 pods")
    third.body["status"]["conditions"].clear()
    third.running()
    team.settle()
    assert conditions_message(team).startswith("training in 3 pods")
    third.disrupted()
    team.settle()
    assert (team.status["phase"], team.status.get("failure")) == ("Running", None)
    assert conditions_message(team).startswith("training in 2 of 3 pods")
    first.published()
    team.settle()
    assert team.status["phase"] == "Publishing"


def test_an_elastic_run_whose_code_fails_later_than_a_node_is_lost_has_failed() -> None:
    team = a_gang(ELASTIC)
    first, second, third = team.nodes()
    first.running()
    third.running().disrupted()
    second.failed(1, at=LATER)
    ends(team).settle()
    assert (team.status["attempts"][0]["outcome"], team.status["failure"]["pod"]) == ("Failed", "churn-1-p2")


def test_an_elastic_run_that_loses_the_node_of_the_rendezvous_is_not_counted() -> None:
    team = a_gang(ELASTIC)
    first, second, _ = team.nodes()
    first.running().disrupted()
    second.failed(1)
    ends(team).settle()
    assert team.status["attempts"][0]["outcome"] == "Disrupted"


RULES: list[dict[str, Any]] = [
    {"action": "FailJob", "exitCodes": [3, 4]},
    {"action": "RestartUncounted", "reasons": ["OutOfMemory"], "message": "*node7*"},
    {"action": "Restart", "reasons": ["Disrupted"]},
]


@pytest.mark.parametrize(
    ("failure", "action"),
    [
        ({"reason": "TrainingFailed", "exit_code": 4}, "FailJob"),
        ({"reason": "TrainingFailed", "exit_code": 5}, "Restart"),
        ({"reason": "OutOfMemory", "message": "on node7 again"}, "RestartUncounted"),
        ({"reason": "OutOfMemory", "message": "on node8"}, "Restart"),
        ({"reason": "Disrupted"}, "Restart"),
        ({"reason": "PodGone"}, "Restart"),
    ],
)
def test_the_first_rule_that_fits_says_what_follows(failure: dict[str, Any], action: str) -> None:
    rules = [FailureRule.model_validate(rule) for rule in RULES]
    assert judged(rules, Failure(**failure)) is FailureAction(action)


def test_without_rules_only_what_was_lost_is_not_counted() -> None:
    assert judged([], Failure(reason="Disrupted")) is FailureAction.RESTART_UNCOUNTED
    assert judged([], Failure(reason="OutOfMemory")) is FailureAction.RESTART


def test_a_pattern_that_would_take_ages_to_look_for_does_not() -> None:
    rule = FailureRule(action=FailureAction.FAIL_JOB, message="*a" * 120)
    assert judged([rule], Failure(reason="X", message="a" * 4000 + "b")) is FailureAction.RESTART


def test_a_rule_holds_for_one_node_too_whose_attempts_are_then_jobs_of_their_own() -> None:
    team = Team(a_run(failureRules=[{"action": "FailJob", "exitCodes": [3]}])).started()
    assert (team.job["spec"]["backoffLimit"], "completionMode" in team.job["spec"]) == (0, False)
    assert not team.world.list(SERVICES, "team")
    team.pod(1).failed(1)
    ends(team).settle()
    team.after(10).settle()
    team.pod(1).failed(3)
    ends(team).settle()
    assert team.status["phase"] == "Failed"
    assert "(a rule of spec.failureRules says FailJob)" in team.status["failure"]["message"]


def conditions_message(team: Team) -> str:
    found = next(one for one in team.status["conditions"] if one["type"] == "Running")
    return str(found["message"])
