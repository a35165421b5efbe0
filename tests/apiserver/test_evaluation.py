"""The gate's evaluation, on a real API server with its Job controller."""

import json

import pytest

from perennial.api.evaluate import Evaluated, Measured
from perennial.api.meta import LABEL_CHECK
from perennial.api.resources import DEPLOYMENTS, JOBS, MODELVERSIONS, SERVICES
from perennial.api.task import Failure, Message, Reason
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

LIMIT = {"name": "Accuracy", "noWorseThanChampionBy": 0.01}
GATE: Body = {"evaluation": {"uri": "s3://acme/holdout.csv", "label": "churned", "metrics": [LIMIT]}}
FOUND = Measured(rows=900, value=0.95, champion=0.94, at_least=-0.002)
PASSED = Evaluated(rows=900, digest="sha256:" + "c" * 64, limits=(FOUND,))
WORSE = PASSED.model_copy(
    update={"limits": (FOUND.model_copy(update={"missed": ("noWorseThanChampionBy",), "at_least": -0.03}),)}
)


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def answers(serving: Serving, answer: Message) -> None:
    """As the kubelet writes it when the agent has ended."""
    serving.asked(serving.asker(LABEL_CHECK), int(isinstance(answer, Failure)), answer.to_json())


def second(serving: Serving) -> str:
    """Version 2, with a pod that is ready; nobody has asked it anything."""
    stable = serving.serve_first(gate=GATE)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: serving.pinned("churn-preview") == new)
    assert serving.pinned() == stable
    return new


def test_it_is_evaluated_before_it_gets_a_request_and_what_was_found_is_kept(
    serving: Serving, perennial: Perennial
) -> None:
    new = second(serving)
    pod = serving.asker(LABEL_CHECK)
    task = json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
    assert task["incoming"] == f"http://churn-preview.{serving.space.name}.svc/invocations"
    selector = serving.space.there(SERVICES, "churn")["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items(), "nobody takes it for a server"
    perennial.kill()
    answers(serving, PASSED)
    perennial.restart()
    serving.says("Ready", "True", "Serving", 40)
    # What is decided is on the status before it is done.
    eventually(lambda: serving.pinned() == new)
    (record, _) = serving.status["promotions"]
    assert record["evaluation"]["metrics"] == [
        {"name": "Accuracy", "rows": 900, "value": 0.95, "champion": 0.94, "atLeast": -0.002}
    ]
    assert serving.space.requests()["create jobs"] == 1
    serving.space.idle(2)


def test_one_that_does_not_pass_is_rejected_and_the_stable_one_serves_on(serving: Serving) -> None:
    new = second(serving)
    answers(serving, WORSE)
    eventually(lambda: not serving.space.get(DEPLOYMENTS, new))
    words = (
        "does not pass spec.gate.evaluation: Accuracy 0.95, the champion's 0.94, perhaps worse by 0.03; at most 0.01"
    )
    eventually(lambda: any(words in one["message"] for one in serving.status.get("candidates") or ()))
    version = eventually(lambda: serving.space.there(MODELVERSIONS, "churn-2").get("status"))
    assert version["deployments"][0]["state"] == "Rejected"
    assert serving.pinned() != new
    serving.says("Ready", "True", "Serving", 40)
    (told,) = [one for one in serving.space.events("churn") if one["reason"] == "GateNotPassed"]
    assert words in told["message"]


def test_what_keeps_it_from_being_evaluated_is_told(serving: Serving) -> None:
    second(serving)
    missing = "the rows of the evaluation: s3://acme/holdout.csv: there is nothing of this name"
    answers(serving, Failure(reason=Reason.INPUT_NOT_FOUND, message=missing))
    eventually(lambda: missing in str(serving.status["rollout"]["message"]))
    (job,) = serving.space.every(JOBS)
    assert job["spec"]["backoffLimit"] == 2
