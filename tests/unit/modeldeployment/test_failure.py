"""Why pods are not ready, and whether waiting can help."""

import json
from typing import Any

import pytest

from perennial.modeldeployment.failure import Failure, failure_of
from perennial.plan import Body
from tests.unit.modeldeployment.world import exited, waiting


def pod(status: Body) -> Body:
    return {"metadata": {"name": "p"}, "status": status}


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
        {"containerStatuses": [{"name": "server", "state": {"terminated": {"exitCode": 0}}, "restartCount": 5}]},
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
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: team"}]
    assert failure_of([], {"status": {"conditions": conditions}}) == Failure("PodsRefused", "exceeded quota: team")


def test_the_crash_says_how_it_ended() -> None:
    found = failure_of([pod(exited(3, "Traceback: no\n such file", restarts=4))], None)
    assert found is not None
    assert found.message == "container server ended with exit code 3 (Error): Traceback: no such file"
