"""Golden requests: the new revision answers them as the stable one does, before anybody else asks it."""

import json
from typing import Any

import pytest

from perennial.api.meta import (
    ANNOTATION_ABORT,
    ANNOTATION_RETRY,
    LABEL_GOLDEN,
    LABEL_MODELDEPLOYMENT,
    LABEL_OWNED,
    LABEL_REVISION,
)
from perennial.api.resources import NETWORKPOLICIES, PODS, SERVICES
from perennial.api.task import Failure, Reason, Replayed
from perennial.plan import Body
from tests.unit.modeldeployment.play import ask, at, job_ends, jobs, passes, reasons, rolling
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version, waiting

GOLDEN: Body = {"uri": "s3://acme/golden.jsonl", "maxDifference": 0.5}
ALIKE = Replayed(requests=20, max_difference=0.25, mean_difference=0.01, worst=7)
FAR = Replayed(requests=20, max_difference=0.75, mean_difference=0.01, worst=7)


def compared(strategy: Body | None = None, **spec: Any) -> World:
    """Version 1 serves, and version 2 waits for its golden requests."""
    return rolling(strategy or {"rollingUpdate": {}}, **{"golden": GOLDEN, **spec})


def answers(world: World, answer: Replayed | Failure | None, *, number: int = -1, code: int = 0) -> None:
    job_ends(world, "replay", answer, number=number, code=code)


@pytest.mark.parametrize(
    "strategy", [{"rollingUpdate": {}}, {"canary": {"steps": [{"setWeight": 50}]}}, {"blueGreen": {}}]
)
def test_before_it_is_compared_it_gets_no_request(strategy: Body) -> None:
    world = compared(strategy)
    passes(world, 300)
    assert world.pinned == world.stable
    assert at(world) == (1, 0)
    assert world.replicas() == {world.stable: 3, world.rolling: 1}
    assert len(jobs(world)) == 1
    words = "golden requests: its answers are compared with those of the stable revision"
    assert words in world.message("Progressing")
    answers(world, ALIKE)
    passes(world, 60)
    assert world.serves == 2


def test_the_job_asks_both_by_their_services_and_is_nobodys_server() -> None:
    world = compared(storage={"secretName": "acme"})
    (job,) = jobs(world)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    task = json.loads(container["env"][0]["value"].replace("$$", "$"))
    assert task == {
        "requests": {"name": "golden", "uri": "s3://acme/golden.jsonl"},
        "stable": f"http://{NAME}.{NAMESPACE}.svc/invocations",
        "incoming": f"http://{NAME}-preview.{NAMESPACE}.svc/invocations",
    }
    assert container["args"] == ["replay"]
    assert container["envFrom"] == [{"secretRef": {"name": "acme"}}]
    assert world.objects[SERVICES, f"{NAME}-preview"]["spec"]["selector"][LABEL_REVISION] == world.rolling
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels == {LABEL_OWNED: "true", LABEL_GOLDEN: NAME}
    assert LABEL_MODELDEPLOYMENT not in labels, "the Service selects by it"
    assert len(job["metadata"]["name"]) <= 63
    assert job["spec"]["activeDeadlineSeconds"] == 600


def test_a_file_on_a_claim_is_mounted() -> None:
    world = compared(golden=GOLDEN | {"uri": "pvc://models/golden.jsonl"})
    (job,) = jobs(world)
    pod = job["spec"]["template"]["spec"]
    assert {"claimName": "models"} in [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
    assert "/perennial-volumes/models" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]


def test_what_was_found_is_shown() -> None:
    world = compared({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    answers(world, ALIKE)
    passes(world, 60)
    assert world.status["rollout"]["golden"] == {
        "requests": 20,
        "skipped": 0,
        "maxDifference": 0.25,
        "meanDifference": 0.01,
        "worst": 7,
    }
    (told,) = [event for event in world.events if event.reason == "GoldenPassed"]
    assert "20 golden requests: at most 0.25 apart (line 7), 0.01 in the mean" in told.message
    assert len(jobs(world)) == 1, "they are compared once"


@pytest.mark.parametrize(
    ("golden", "answer", "words"),
    [
        (GOLDEN, FAR, "of 20 golden requests the answers are 0.75 apart at line 7, at most 0.5 is allowed"),
        (
            {"uri": GOLDEN["uri"], "meanDifference": 0.001},
            ALIKE,
            "of 20 golden requests the answers are 0.01 apart in the mean, at most 0.001 is allowed",
        ),
        (
            GOLDEN,
            ALIKE.model_copy(update={"failed": 2, "failure": "line 3: answered 500"}),
            "2 golden requests that the stable revision answers fail: line 3: answered 500",
        ),
    ],
)
def test_what_differs_too_much_is_vetoed_before_anybody_asked_it(golden: Body, answer: Replayed, words: str) -> None:
    world = compared(golden=golden)
    old = world.stable
    answers(world, answer)
    passes(world, 60)
    assert world.pinned == old
    assert world.candidate(2)["reason"] == "GoldenFailed"
    assert words in world.candidate(2)["message"]
    assert "RolledBack" in reasons(world)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (Failure(reason=Reason.INPUT_NOT_FOUND, message="the requests: there is nothing"), 1, "there is nothing"),
        (None, 137, "container replay of pod"),
        (Replayed(requests=0, skipped=9), 0, "the stable revision answered none of the 9 requests"),
    ],
)
def test_no_answer_is_no_pass(answer: Replayed | Failure | None, code: int, words: str) -> None:
    world = compared()
    answers(world, answer, code=code)
    passes(world, 60)
    assert world.candidate(2)["reason"] == "GoldenError"
    assert words in world.candidate(2)["message"]


def test_an_answer_that_is_told_of_late_is_waited_for_and_one_that_is_lost_is_not() -> None:
    world = compared()
    answers(world, None)
    passes(world, 40)
    assert world.rolling
    plan = world.reconcile()
    assert plan.requeue_after, "nobody else would wake it"
    late = compared()
    answers(late, None)
    passes(late, 40)
    answers(late, ALIKE)
    passes(late, 60)
    assert late.serves == 2
    passes(world, 40)
    assert world.candidate(2)["reason"] == "GoldenError"
    assert "is lost with its pod" in world.candidate(2)["message"]


def test_what_keeps_the_job_from_running_is_told() -> None:
    world = compared()
    answers(world, None)
    (job,) = jobs(world)
    del job["status"]
    for pod in world.list(PODS, NAMESPACE):
        if LABEL_GOLDEN in pod["metadata"]["labels"]:
            pod["status"] = waiting("ErrImagePull", "no such image")
    passes(world)
    assert "no such image" in world.message("Progressing")


def test_tried_again_they_are_sent_again() -> None:
    world = compared()
    answers(world, FAR)
    passes(world, 60)
    ask(world, ANNOTATION_RETRY)
    assert world.rolling
    assert len(jobs(world)) == 2
    answers(world, ALIKE)
    passes(world, 60)
    assert world.serves == 2


def test_other_requests_are_sent_anew() -> None:
    world = compared()
    world.change(golden=GOLDEN | {"uri": "s3://acme/better.jsonl"})
    passes(world, 60)
    assert len(jobs(world)) == 2
    answers(world, ALIKE, number=0)
    passes(world, 60)
    assert world.rolling, "the answer to the old ones says nothing"
    answers(world, ALIKE)
    passes(world, 60)
    assert world.serves == 2


def test_without_golden_requests_it_goes_on() -> None:
    world = compared()
    spec = {key: value for key, value in world.mdep["spec"].items() if key != "golden"}
    world.put({**world.mdep, "spec": spec})
    world.change()
    passes(world, 60)
    assert world.serves == 2
    assert (SERVICES, f"{NAME}-preview") not in world.objects


def test_the_first_version_has_nobody_to_be_compared_with() -> None:
    world = World(a_version(1), golden=GOLDEN)
    world.settle()
    assert world.serves == 1
    assert not jobs(world)


def test_paused_it_goes_no_further_and_aborted_nothing_is_waited_for() -> None:
    world = rolling({"rollingUpdate": {}}, golden=GOLDEN)
    world.change(paused=True)
    answers(world, ALIKE)
    passes(world, 60)
    assert world.rolling
    ask(world, ANNOTATION_ABORT)
    assert world.rolling is None
    assert world.candidate(2)["reason"] == "Aborted"


def test_a_stable_one_that_does_not_work_is_not_asked() -> None:
    world = compared()
    world.break_pods(world.stable, waiting("InvalidImageName", "no"))
    passes(world, 60)
    assert world.serves == 2
    assert "StepsSkipped" in reasons(world)


def test_who_may_call_leaves_room_for_the_job() -> None:
    world = compared(network={"allowFrom": []})
    (entry,) = world.objects[NETWORKPOLICIES, NAME]["spec"]["ingress"]
    assert entry["from"] == [{"podSelector": {"matchLabels": {LABEL_GOLDEN: NAME}}}]
