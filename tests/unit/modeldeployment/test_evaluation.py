"""The gate's evaluation: a version that does not predict labelled rows well enough never gets a request."""

import json
from typing import Any

import pytest

from perennial.api.evaluate import Evaluated, Measured
from perennial.api.meta import ANNOTATION_RETRY, ANNOTATION_SKIP_GATE, ANNOTATION_SKIP_STEP, LABEL_CHECK, LABEL_OWNED
from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.resources import NETWORKPOLICIES
from perennial.api.task import Failure, Message, Reason
from perennial.plan import Body
from perennial.retrainpolicy.outcome import outcome
from tests.unit.modeldeployment.play import ask, at, job_ends, jobs, passes, reasons, rolling
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version

EVALUATION: Body = {
    "uri": "s3://acme/holdout",
    "label": "churned",
    "metrics": [
        {"name": "Accuracy", "noWorseThanChampionBy": 0.01},
        {"name": "Accuracy", "segment": "country", "min": 0.8},
    ],
}
DIGEST = "sha256:" + "c" * 64
GOOD = (
    Measured(rows=900, value=0.95, champion=0.94, at_least=-0.002),
    Measured(segment="AT", rows=60, value=0.85, champion=0.9),
)
PASSED = Evaluated(rows=900, digest=DIGEST, limits=GOOD)


def missing(**update: Any) -> Evaluated:
    return PASSED.model_copy(update={"limits": (GOOD[0].model_copy(update=update), GOOD[1])})


def evaluated(strategy: Body | None = None, gate: Body | None = None, **spec: Any) -> World:
    """Version 1 serves, and version 2 waits for its evaluation."""
    return rolling(strategy or {"rollingUpdate": {}}, gate=gate or {"evaluation": EVALUATION}, **spec)


def answers(world: World, answer: Message | None, **how: int) -> None:
    job_ends(world, "evaluate", answer, **how)


@pytest.mark.parametrize(
    "strategy", [{"rollingUpdate": {}}, {"canary": {"steps": [{"setWeight": 50}]}}, {"blueGreen": {}}]
)
def test_before_it_has_passed_it_gets_no_request(strategy: Body) -> None:
    world = evaluated(strategy)
    passes(world, 300)
    assert world.pinned == world.stable
    assert at(world) == (1, 0)
    assert len(jobs(world)) == 1
    assert "evaluation: its answers are compared with those of the stable revision" in world.message("Progressing")
    answers(world, PASSED)
    passes(world, 60)
    assert world.serves == 2
    (told,) = [event for event in world.events if event.reason == "EvaluationPassed"]
    assert "900 rows: Accuracy 0.95, the champion's 0.94, perhaps worse by 0.002; Accuracy where country is 'AT'" in (
        told.message
    )


def test_the_job_asks_both_and_is_nobodys_server() -> None:
    world = evaluated(storage={"secretName": "acme"})
    (job,) = jobs(world)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    task = json.loads(container["env"][0]["value"].replace("$$", "$"))
    assert task == {
        "rows": {"name": "rows", "uri": "s3://acme/holdout"},
        "stable": f"http://{NAME}.{NAMESPACE}.svc/invocations",
        "incoming": f"http://{NAME}-preview.{NAMESPACE}.svc/invocations",
        "label": "churned",
        "columns": [],
        "minRows": 200,
        "confidence": 0.95,
        "limits": [
            {"name": "Accuracy", "minRows": 50, "noWorseThanChampionBy": 0.01},
            {"name": "Accuracy", "segment": "country", "minRows": 50, "min": 0.8},
        ],
    }
    assert container["args"] == ["evaluate"]
    assert container["envFrom"] == [{"secretRef": {"name": "acme"}}]
    assert job["spec"]["template"]["metadata"]["labels"] == {LABEL_OWNED: "true", LABEL_CHECK: NAME}
    assert len(job["metadata"]["name"]) - len(NAME) <= 63 - 45


def test_what_was_found_stays_with_the_promotion() -> None:
    world = evaluated({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    answers(world, PASSED)
    passes(world, 60)
    record = {
        "rows": 900,
        "digest": DIGEST,
        "metrics": [
            {"name": "Accuracy", "rows": 900, "value": 0.95, "champion": 0.94, "atLeast": -0.002},
            {"name": "Accuracy", "segment": "country=AT", "rows": 60, "value": 0.85, "champion": 0.9},
        ],
    }
    assert world.status["rollout"]["evaluation"] == record
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world, 60)
    assert world.serves == 2
    assert world.status["promotions"][0]["evaluation"] == record
    assert "evaluation" not in world.status["promotions"][1]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (
            missing(missed=("noWorseThanChampionBy",), at_least=-0.03),
            "GateNotPassed",
            "perhaps worse by 0.03; at most 0.01 worse is allowed, with confidence 0.95",
        ),
        (missing(missed=("min",)), "GateNotPassed", "Accuracy is 0.95, below the minimum"),
        (missing(missed=("minRows",)), "GateNotComputable", "no value of None has 50 rows"),
        (PASSED.model_copy(update={"failure": "answered 500", "limits": ()}), "GateNotPassed", "it answered 500"),
        (Evaluated(rows=7, digest=DIGEST), "GateNotComputable", "of at least 200 rows with a label there are 7"),
        (Evaluated(rows=700, digest=DIGEST), "GateNotComputable", "the agent measured something else"),
        (
            Failure(reason=Reason.INPUT_NOT_FOUND, message="there is no column churned"),
            "GateNotComputable",
            "no column",
        ),
        (None, "GateNotComputable", "container evaluate of pod"),
    ],
)
def test_what_does_not_pass_is_rejected_by_the_gate(answer: Message | None, reason: str, words: str) -> None:
    gate: Body = {"evaluation": EVALUATION}
    if "minimum" in words:
        gate = {"evaluation": EVALUATION | {"metrics": [{"name": "Accuracy", "min": 0.99}, EVALUATION["metrics"][1]]}}
    world = evaluated(gate=gate)
    old = world.stable
    answers(world, answer, code=int(not isinstance(answer, Evaluated)))
    passes(world, 60)
    assert world.pinned == old
    found = world.candidate(2)
    assert (found["state"], found["reason"]) == ("Rejected", reason)
    assert found["message"].startswith("version 2 does not pass spec.gate.evaluation: ")
    assert words in found["message"]
    assert f"kubectl annotate --overwrite modeldeployment {NAME} {ANNOTATION_RETRY}" in found["message"]
    assert reason in reasons(world)
    assert "RolledBack" not in reasons(world)
    assert world.condition("Ready") == ("True", "Serving"), "a gate that does its work is no fault"


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"gate": {"evaluation": EVALUATION | {"confidence": 0.8}}}, True),
        ({"gate": {"evaluation": EVALUATION, "metrics": [{"name": "accuracy", "max": 1}]}}, False),
        ({"replicas": 2}, False),
    ],
)
def test_another_evaluation_tries_it_anew(change: Body, again: bool) -> None:
    world = evaluated()
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    world.put({**a_version(2), "spec": {**a_version(2)["spec"], "metrics": {"accuracy": 0.9}}})
    world.change(**change)
    passes(world, 60)
    assert bool(world.rolling) == again
    assert len(jobs(world)) == 1 + again


def test_it_is_tried_again_by_hand_and_the_next_version_by_itself() -> None:
    world = evaluated()
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    ask(world, ANNOTATION_RETRY)
    assert len(jobs(world)) == 2
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    world.put(a_version(3))
    passes(world, 60)
    assert len(jobs(world)) == 3
    answers(world, PASSED)
    passes(world, 60)
    assert world.serves == 3


def test_the_first_version_has_nobody_to_be_compared_with_and_one_that_served_goes_back_at_once() -> None:
    world = World(a_version(1), gate={"evaluation": EVALUATION})
    world.settle()
    assert world.serves == 1
    assert not jobs(world)
    world.put(a_version(2))
    passes(world, 60)
    answers(world, PASSED)
    passes(world, 60)
    assert world.serves == 2
    world.put({**a_version(2), "spec": {**a_version(2)["spec"], "approval": "Rejected"}})
    passes(world, 120)
    assert world.serves == 1
    assert len(jobs(world)) == 1


def test_a_person_may_leave_it_out_and_that_is_told() -> None:
    world = evaluated()
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world, 60)
    assert world.serves == 2
    assert "evaluation" not in world.status["promotions"][0]
    assert any("evaluation" in event.message and event.reason == "StepSkipped" for event in world.events)


def test_golden_requests_come_first() -> None:
    world = evaluated(golden={"uri": "s3://acme/golden.jsonl", "maxDifference": 0.5})
    (job,) = jobs(world)
    assert "-golden-" in job["metadata"]["name"]


def test_who_may_call_leaves_room_for_the_job() -> None:
    world = evaluated(network={"allowFrom": []})
    (entry,) = world.objects[NETWORKPOLICIES, NAME]["spec"]["ingress"]
    assert entry["from"] == [{"podSelector": {"matchLabels": {LABEL_CHECK: NAME}}}]


def test_a_run_whose_version_does_not_pass_was_rejected() -> None:
    world = evaluated()
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    serving = ModelDeploymentStatus.model_validate(world.status)
    phase, words = outcome(a_version(2), world.mdep, serving)
    assert phase == "Rejected"
    assert "does not pass spec.gate.evaluation" in words


def test_one_that_a_person_lets_in_is_not_evaluated_and_that_is_on_record() -> None:
    world = evaluated()
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    assert world.serves == 1
    world.annotate(ANNOTATION_SKIP_GATE, "2 agreed with risk")
    passes(world, 120)
    assert world.serves == 2
    assert len(jobs(world)) == 1
    (promoted, *_) = world.status["promotions"]
    assert promoted["gateSkipped"].startswith("version 2 does not pass spec.gate.evaluation: ")
    assert promoted["gateSkipped"].endswith("; let in by hand: agreed with risk")
    assert "evaluation" not in promoted
    assert reasons(world).count("GateSkipped") == 1


def test_who_takes_it_back_while_it_is_rolled_out_has_it_called_off() -> None:
    world = evaluated({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    answers(world, missing(missed=("noWorseThanChampionBy",)))
    passes(world, 60)
    world.annotate(ANNOTATION_SKIP_GATE, "2")
    passes(world, 60)
    assert world.status["rollout"]["version"] == 2
    world.annotate(ANNOTATION_SKIP_GATE, "")
    passes(world, 60)
    assert "rollout" not in world.status
    assert world.serves == 1
