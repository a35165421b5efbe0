"""Each way in which a TrainingJob fails, in words that a person can act on; the real Job controller decides the end."""

import json
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.plan import Body
from tests.apiserver.kubelet import DIGEST, Kubelet
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space


def answers(reason: str, message: str) -> str:
    return json.dumps({"error": {"reason": reason, "message": message}})


def prepare(reason: str, message: str) -> Any:
    return lambda k, run: k.ends(run, "Failed", {"prepare": (1, answers(reason, message))})


def publish(reason: str, message: str) -> Any:
    states = {"prepare": (0,), "main": (0,), "agent": (1, answers(reason, message))}
    return lambda k, run: k.ends(run, "Failed", states)


def stopped(kubelet: Kubelet, run: str) -> None:
    answer = answers("Interrupted", "told to stop before its end")
    kubelet.ends(run, "Failed", {"prepare": (0,), "main": (143,), "agent": (143, answer)})


EXTERNAL = {
    "output": {"mode": "External"},
    "template": {"spec": {"containers": [{"name": "main", "image": "train:1"}]}},
}
# name: (how the pod ends, reason, words, exit code)
FAILURES: dict[str, tuple[Any, str, str, int | None]] = {
    "exit-code": (lambda k, run: k.fails(run, 3, "no column age"), "TrainingFailed", "exit code 3: no column age", 3),
    "out-of-memory": (lambda k, run: k.fails(run, 137, reason="OOMKilled"), "OutOfMemory", "raise limits.memory", 137),
    "killed": (lambda k, run: k.fails(run, 137), "Killed", "SIGKILL", 137),
    "told-to-stop": (stopped, "Interrupted", "nothing was published", 143),
    "stopped-itself": (lambda k, run: k.fails(run, 143), "TrainingFailed", "exit code 143 (SIGTERM)", 143),
    "segfault": (lambda k, run: k.fails(run, 139), "TrainingFailed", "exit code 139 (SIGSEGV)", 139),
    "wrong-command": (
        lambda k, run: k.fails(run, 127, "pyton: no such file"),
        "StartError",
        "pyton: no such file",
        127,
    ),
    "evicted": (
        lambda k, run: k.ends(run, "Failed", reason="Evicted", message="The node was low on ephemeral-storage"),
        "Evicted",
        "low on ephemeral-storage",
        None,
    ),
    "missing-input": (prepare("InputNotFound", "input dataset: s3://acme/x"), "InputNotFound", "dataset", 1),
    "wrong-digest": (prepare("DigestMismatch", "input dataset is sha256:0"), "DigestMismatch", "dataset", 1),
    "empty-output": (publish("OutputEmpty", "nothing in $PERENNIAL_OUTPUT_DIR"), "OutputEmpty", "OUTPUT_DIR", 1),
    "bad-metrics": (publish("MetricsInvalid", "accuracy: NaN"), "MetricsInvalid", "accuracy: NaN", 1),
    "store-down": (publish("StoreUnavailable", "s3://acme: no answer in 30 min"), "StoreUnavailable", "30 min", 1),
    "external-without-result": (
        lambda k, run: k.ends(run, "Succeeded", {"prepare": (0,), "main": (0,)}),
        "ResultMissing",
        "/dev/termination-log",
        None,
    ),
    "external-with-bad-result": (
        lambda k, run: k.ends(run, "Succeeded", {"prepare": (0,), "main": (0, '{"uri": "s3://a/b"}')}),
        "MessageInvalid",
        "digest: Field required",
        None,
    ),
}


@pytest.fixture(scope="module")
def failed(perennial: Perennial, controlled: ApiServer) -> Space:
    """All of them fail at the same time."""
    space = Space(controlled)
    kubelet = Kubelet(space)
    for name in FAILURES:
        space.train(name, backoffLimit=0, **(EXTERNAL if name.startswith("external") else {}))
    for name, (ends, *_) in FAILURES.items():
        ends(kubelet, name)
    return space


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told(failed: Space, name: str) -> None:
    _, reason, words, code = FAILURES[name]
    status = failed.reaches(name, "Failed")
    assert (status["failure"]["reason"], status["failure"].get("exitCode")) == (reason, code)
    assert words in status["failure"]["message"]
    assert words in failed.says(name, "Failed", reason)
    assert failed.says(name, "Stalled", reason)
    eventually(lambda: [e for e in failed.events(name) if (e["type"], e["reason"]) == ("Warning", reason)])


def test_failed_runs_are_left_alone(failed: Space) -> None:
    for name in FAILURES:
        failed.reaches(name, "Failed")
    failed.idle(2)


def test_a_node_that_is_not_heard_of_is_told_and_so_is_its_return(space: Space, kubelet: Kubelet) -> None:
    space.train("afar")
    kubelet.runs("afar")
    space.says("afar", "Running", "Training")
    kubelet.lost("afar")
    assert "is not ready since 2026-11-20T12:00:50Z" in space.says("afar", "Running", "NodeNotReady")
    assert space.reaches("afar", "Running")
    kubelet.runs("afar")
    space.says("afar", "Running", "Training")


def test_a_run_out_of_retries_says_so(space: Space, kubelet: Kubelet) -> None:
    space.train("thrice", backoffLimit=1)
    first = kubelet.fails("thrice", 3)
    eventually(lambda: space.status("thrice").get("failure"))
    second = kubelet.fails("thrice", 4)
    status = space.reaches("thrice", "Failed")
    assert status["failure"]["exitCode"] == 4
    assert "(spec.backoffLimit of 1 is used up)" in status["failure"]["message"]
    assert [a["pod"] for a in status["attempts"]] == [first, second]


STUCK: dict[str, tuple[Body, str, str]] = {
    "never-started": (
        {"main": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: pyton: not found"}}},
        "StartError",
        "exec: pyton: not found",
    ),
    "agent-died": (
        {
            "main": {"running": {"startedAt": "2026-11-20T12:00:00Z"}},
            "agent": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "killed"}},
        },
        "AgentFailed",
        "the agent ended before the training did",
    ),
}


@pytest.mark.parametrize("case", STUCK)
def test_a_pod_whose_other_half_cannot_end_is_replaced(space: Space, kubelet: Kubelet, case: str) -> None:
    states, reason, words = STUCK[case]
    space.train("stuck")
    lost = kubelet.report("stuck", "Running", {"agent": {"running": {}}} | states)
    eventually(lambda: space.status("stuck").get("failure"))
    failure = space.status("stuck")["failure"]
    assert (failure["reason"], failure["pod"]) == (reason, lost)
    assert words in failure["message"]
    assert kubelet.stops("stuck") == lost
    kubelet.publishes("stuck")
    status = space.reaches("stuck", "Succeeded")
    assert status["attempts"][0]["pod"] == lost
    assert space.requests()["delete pods"] == 1


def test_a_result_that_is_nowhere_to_be_found(space: Space, kubelet: Kubelet) -> None:
    space.train("lost")
    kubelet.ends("lost", "Succeeded", {"prepare": (0,), "main": (0,), "agent": (0,)})
    for _ in range(4):
        gone = (1, answers("NotFound", "nothing was published below s3://acme/models"))
        kubelet.ends("lost", "Failed", {"recover": gone}, job="lost-recover")
    failure = space.reaches("lost", "Failed")["failure"]
    assert failure["reason"] == "ResultLost"
    assert "nothing was published below s3://acme/models" in failure["message"]


def test_a_damaged_recovery_is_no_success(space: Space, kubelet: Kubelet) -> None:
    space.train("lost")
    message = f'{{"uri": 1, "digest": "{DIGEST}"}}'
    kubelet.ends("lost", "Succeeded", {"prepare": (0,), "main": (0,), "agent": (0, message)})
    assert space.reaches("lost", "Failed")["failure"]["reason"] == "MessageInvalid"
