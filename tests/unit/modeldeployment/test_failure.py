"""Why pods are not ready, and whether waiting can help."""

import json
from typing import Any

import pytest

from perennial.modeldeployment.failure import Failure, failure_of, last_failure, unready
from perennial.plan import Body
from tests.unit.modeldeployment.world import exited, waiting

# As the controller of nodes leaves a pod that was ready when its node was last heard of.
LOST: Body = {
    "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-20T12:00:00Z"},
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-11-20T11:00:00Z"},
    ],
    "containerStatuses": [{"name": "server", "state": {"running": {}}}],
}


def pod(status: Body) -> Body:
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "node7"}, "status": status}


def answer(reason: str) -> str:
    return json.dumps({"error": {"reason": reason, "message": "words"}})


@pytest.mark.parametrize(
    ("status", "reason", "hopeless", "crashing"),
    [
        (exited(78, answer("ModelLoadFailed")), "ModelLoadFailed", True, False),
        (exited(78), "ModelLoadFailed", True, False),
        (exited(1, restarts=1), "ContainerFailed", False, False),
        (exited(1, restarts=3), "CrashLoop", False, True),
        (exited(1, answer("DigestMismatch"), container="fetch", init=True), "DigestMismatch", True, False),
        (exited(1, answer("NotFound"), container="fetch", init=True), "NotFound", True, False),
        (exited(1, answer("StoreUnavailable"), 9, container="fetch", init=True), "StoreUnavailable", False, False),
        (exited(1, answer("AccessDenied"), 9, container="fetch", init=True), "AccessDenied", False, False),
        (exited(1, answer("AgentFailed"), 3, container="fetch", init=True), "AgentFailed", False, True),
        (exited(137, "", 3, container="fetch", init=True), "CrashLoop", False, True),
        (waiting("ImagePullBackOff"), "ImagePullFailed", False, False),
        (waiting("InvalidImageName"), "InvalidImageName", True, False),
        (waiting("CreateContainerConfigError"), "ContainerConfigError", False, False),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "Evicted", False, False),
        ({**exited(137), "phase": "Failed", "reason": "Evicted", "message": "disk"}, "Evicted", False, False),
        ({**exited(0), "phase": "Succeeded"}, "StoppedByNode", False, False),
        (exited(0, restarts=1), "ContainerFailed", False, False),
        (exited(0, restarts=5), "CrashLoop", False, True),
        (LOST, "NodeNotReady", False, False),
    ],
)
def test_a_pods_failure(status: Body, reason: str, hopeless: bool, crashing: bool) -> None:
    found = failure_of([pod(status)], None)
    assert found is not None
    assert (found.reason, found.hopeless, found.crashing) == (reason, hopeless, crashing)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"containerStatuses": [{"name": "server", "state": {"waiting": {"reason": "PodInitializing"}}}]},
        {"initContainerStatuses": [{"name": "fetch", "state": {"terminated": {"exitCode": 0}}, "restartCount": 5}]},
    ],
)
def test_no_failure(status: Body) -> None:
    assert failure_of([pod(status)], None) is None


def test_a_ready_pod_has_none_whatever_was() -> None:
    ready: dict[str, Any] = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T12:00:00Z"}
    assert failure_of([pod({**exited(78), "conditions": [ready]})], None) is None


def test_the_gravest_is_said() -> None:
    found = failure_of([pod(waiting("ErrImagePull")), pod(exited(78)), pod(exited(1, restarts=9))], None)
    assert found is not None
    assert found.reason == "ModelLoadFailed"


def test_pods_that_are_refused() -> None:
    message = 'pods "churn-5c-x2k9d" is forbidden: exceeded quota: team'
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": message}]
    words = "the cluster refuses its pod, and is asked again: exceeded quota: team"
    assert failure_of([], {"status": {"conditions": conditions}}) == Failure("PodsRefused", words)


def test_the_crash_says_how_it_ended() -> None:
    found = failure_of([pod(exited(3, "Traceback: no\n such file", restarts=4))], None)
    assert found is not None
    assert found.message == "container server of pod p ended with exit code 3: Traceback: no such file"


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (139, "Error", "ended with exit code 139 (SIGSEGV)"),
        (
            137,
            "OOMKilled",
            "ended with exit code 137 (OOMKilled), for using more memory than its limit; raise limits.memory",
        ),
        (0, "Completed", "ended with exit code 0"),
        (255, "Error", "ended with exit code 255"),
    ],
)
def test_how_a_server_ended_is_said_in_words(code: int, reason: str, words: str) -> None:
    status = exited(code)
    status["containerStatuses"][0]["lastState"]["terminated"]["reason"] = reason
    found = failure_of([pod(status)], None)
    assert found is not None
    assert found.message == f"container server of pod p {words}"


def test_a_lost_node_is_named_with_the_time() -> None:
    found = failure_of([pod(LOST)], None)
    assert found is not None
    assert "pod p: node node7 is not ready since 2026-11-20T12:00:00Z" in found.message


def test_what_a_pod_went_through_is_known_after_it_came_right() -> None:
    ready: dict[str, Any] = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T12:00:00Z"}
    status = {**exited(137, restarts=1), "conditions": [ready]}
    found = last_failure([pod(status)])
    assert found is not None
    assert "exit code 137" in found.message


@pytest.mark.parametrize("later", ["crash", "eviction"])
def test_the_last_of_several_is_told(later: str) -> None:
    crashed = exited(137, restarts=5)
    ended = crashed["containerStatuses"][0]["lastState"]["terminated"]
    ended["finishedAt"] = "2026-11-20T12:00:00Z"
    at = "2026-11-20T11:00:00Z" if later == "crash" else "2026-11-20T13:00:00Z"
    conditions = [{"type": "Ready", "status": "False", "lastTransitionTime": at}, {"type": "x", "status": "True"}]
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "disk", "conditions": conditions}
    for pods in ([pod(crashed), pod(evicted)], [pod(evicted), pod(crashed)]):
        found = last_failure(pods)
        assert found is not None
        assert found.reason == ("CrashLoop" if later == "crash" else "Evicted")


def test_pods_that_wait_for_their_model_are_not_said_to_run() -> None:
    fetching: Body = {"initContainerStatuses": [{"name": "fetch", "state": {"running": {}}}]}
    assert unready([pod(fetching)]) == "container fetch of pod p has not ended yet"
    shipping: Body = {"initContainerStatuses": [{"name": "ship", "state": {"running": {}}}]}
    assert unready([pod(shipping)]) is None
    assert unready([pod({})]) is None
    sidecar: Body = {"initContainerStatuses": [{"name": "mesh", "state": {"running": {}}}]}
    serving: Body = {"containerStatuses": [{"name": "server", "state": {"running": {}}}]}
    assert unready([pod({}), pod(serving)]) == "they run, but do not answer ready"
    assert unready([pod(sidecar | serving)]) == "they run, but do not answer ready"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T12:00:00Z"}
    assert unready([pod({**serving, "conditions": [ready]})]) is None
