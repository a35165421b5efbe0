"""Golden requests, on a real API server with its Job controller: what is made for them, and what follows."""

import json
from typing import Any

import pytest

from perennial.api.meta import LABEL_GOLDEN
from perennial.api.resources import DEPLOYMENTS, JOBS, SERVICES
from perennial.api.task import Failure, Reason, Replayed
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

GOLDEN: Body = {"uri": "s3://acme/golden.jsonl", "maxDifference": 0.5}


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def answers(serving: Serving, answer: Replayed | Failure) -> None:
    """As the kubelet writes it when the agent has ended."""
    serving.asked(serving.asker(LABEL_GOLDEN), int(isinstance(answer, Failure)), answer.to_json())


def second(serving: Serving, **spec: Any) -> str:
    """Version 2, with a pod that is ready; nobody has asked it anything."""
    stable = serving.serve_first(golden=GOLDEN, **spec)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: serving.pinned("churn-preview") == new)
    assert serving.pinned() == stable
    return new


def test_they_are_sent_before_it_gets_any_other(serving: Serving, perennial: Perennial) -> None:
    new = second(serving)
    pod = serving.asker(LABEL_GOLDEN)
    task = json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
    assert task["incoming"] == f"http://churn-preview.{serving.space.name}.svc/invocations"
    selector = serving.space.there(SERVICES, "churn")["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items(), "nobody takes it for a server"
    assert serving.pinned() != new
    perennial.kill()
    answers(serving, Replayed(requests=20, max_difference=0.25, mean_difference=0.01, worst=7))
    perennial.restart()
    serving.says("Ready", "True", "Serving", 40)
    # What is decided is on the status before it is done.
    eventually(lambda: serving.pinned() == new)
    told = eventually(lambda: [one for one in serving.space.events("churn") if one["reason"] == "GoldenPassed"])
    assert "20 golden requests: at most 0.25 apart (line 7), 0.01 in the mean" in told[0]["message"]
    assert serving.space.requests()["create jobs"] == 1
    serving.space.idle(2)


def test_apart_by_too_much_it_is_vetoed_and_what_was_found_is_told(serving: Serving) -> None:
    new = second(serving)
    answers(serving, Replayed(requests=20, max_difference=0.75, mean_difference=0.01, worst=7))
    words = serving.says("Ready", "False", "RolloutFailed", 40)
    assert "of 20 golden requests the answers are 0.75 apart at line 7, at most 0.5 is allowed (GoldenFailed)" in words
    assert serving.pinned() != new
    eventually(lambda: not serving.space.get(DEPLOYMENTS, new))


def test_requests_that_cannot_be_read_are_told_while_it_is_tried_again(serving: Serving) -> None:
    second(serving)
    missing = "the requests: s3://acme/golden.jsonl: there is nothing of this name"
    answers(serving, Failure(reason=Reason.INPUT_NOT_FOUND, message=missing))
    eventually(lambda: missing in str(serving.status["rollout"]["message"]))
    (job,) = serving.space.every(JOBS)
    assert job["spec"]["backoffLimit"] == 2
    assert job["spec"]["ttlSecondsAfterFinished"] == 3600
