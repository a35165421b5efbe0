"""Trainings that fail, each for another reason: told in words, retried as often as asked, and never published."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.lab import Body, Lab, condition
from e2e.space import Space, digits, shell, training
from e2e.store import BUCKET, Store

WRITE = 'echo weights > "$PERENNIAL_OUTPUT_DIR/weights.txt"'
DATA = b"1,2\n"
MARKS: Body = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "marks"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


@dataclass(frozen=True)
class Bad:
    """A training that fails: why, in these words, with this exit code."""

    command: list[str]
    reason: str
    words: str
    exit_code: int | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0


BAD = {
    "exits": Bad(shell("exit 7"), "TrainingFailed", "exit code 7 (spec.backoffLimit of 1 is used up", 7, retries=1),
    "greedy": Bad(
        ["python", "-c", "x = b'x' * (256 << 20)"],
        "OutOfMemory",
        "raise limits.memory",
        137,
        {"container": {"resources": {"limits": {"memory": "64Mi"}}}},
    ),
    "commandless": Bad(["no-such-program"], "StartError", "the command cannot be run", 127),
    "outputless": Bad(shell("true"), "OutputEmpty", "wrote no file to $PERENNIAL_OUTPUT_DIR", 1),
    "misread": Bad(shell(f'{WRITE}; echo "[1" > "$PERENNIAL_METRICS_FILE"'), "MetricsInvalid", "metrics file", 1),
    "dataless": Bad(
        shell(WRITE),
        "InputNotFound",
        f"s3://{BUCKET}/nowhere/data.csv",
        1,
        {"inputs": [{"name": "data", "uri": f"s3://{BUCKET}/nowhere/data.csv"}]},
    ),
    "mistaken": Bad(
        shell(WRITE),
        "DigestMismatch",
        "sha256:" + "0" * 64,
        1,
        {"inputs": [{"name": "data", "uri": f"s3://{BUCKET}/data/a.csv", "digest": "sha256:" + "0" * 64}]},
    ),
    "imageless": Bad(
        shell(WRITE),
        "PendingDeadlineExceeded",
        "its image cannot be pulled",
        spec={"container": {"image": "localhost/perennial/nowhere:1"}, "pendingDeadlineSeconds": 30},
    ),
    "homeless": Bad(
        shell(WRITE),
        "PendingDeadlineExceeded",
        "cannot be scheduled",
        spec={"pod": {"nodeSelector": {"there": "is-none"}}, "pendingDeadlineSeconds": 20},
    ),
}


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    """All of them at once: most of the time they wait."""
    space = Space(lab, "e2e-training")
    space.use(store)
    space.apply(MARKS)
    store.put("data", {"a.csv": DATA})
    retried = training(
        "retried",
        shell(f"mkdir /marks/tried || {{ {WRITE}; exit; }}; exit 3"),
        backoffLimit=1,
        inputs=[{"name": "data", "uri": f"s3://{BUCKET}/data/a.csv"}],
        pod={"volumes": [{"name": "marks", "persistentVolumeClaim": {"claimName": "marks"}}]},
        container={"volumeMounts": [{"name": "marks", "mountPath": "/marks"}]},
    )
    bad = [training(name, one.command, backoffLimit=one.retries, **one.spec) for name, one in BAD.items()]
    passing = training("passing", shell(WRITE), ttlSecondsAfterFinished=1)
    held = [digits(name, held=True, backoffLimit=1) for name in ("stopped", "bereft")]
    space.apply(retried, passing, *held, *bad)
    return space


def test_one_that_fails_once_is_tried_again(space: Space) -> None:
    status = space.finished("retried")["status"]
    assert status["phase"] == "Succeeded"
    assert [(one["outcome"], one.get("reason")) for one in status["attempts"]] == [
        ("Failed", "TrainingFailed"),
        ("Succeeded", None),
    ]
    assert "failure" not in status
    record = space.get("modelversion", "retried-1")
    assert record is not None
    where = f"retried/{_uid(space, 'retried')}/{status['attempts'][1]['pod']}"
    assert record["spec"]["uri"] == f"pvc://perennial-models/{where}"
    assert record["spec"]["format"] == "files"
    digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    assert record["spec"]["inputs"] == [{"name": "data", "uri": f"s3://{BUCKET}/data/a.csv", "digest": digest}]


@pytest.mark.parametrize("name", BAD)
def test_why_it_failed_is_said_in_words(space: Space, name: str) -> None:
    wanted = BAD[name]
    job = space.finished(name)
    status, failure = job["status"], job["status"].get("failure")
    assert (status["phase"], failure["reason"]) == ("Failed", wanted.reason), failure
    assert wanted.words in failure["message"]
    assert failure.get("exitCode") == wanted.exit_code
    failed = condition(job, "Failed")
    assert (failed["status"], failed["reason"]) == ("True", wanted.reason)
    assert wanted.words in failed["message"]
    assert "modelVersion" not in status
    assert space.get("modelversion", f"{name}-1") is None
    if wanted.exit_code is not None:
        assert len(status["attempts"]) == 1 + wanted.retries
    events = [one for one in space.every("events") if one["involvedObject"]["uid"] == job["metadata"]["uid"]]
    assert wanted.reason in {event["reason"] for event in events}


def test_a_pod_that_its_namespace_refuses_says_why_until_it_may_run(lab: Lab) -> None:
    space = Space(lab, "e2e-refused", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    privileged = {"securityContext": {"privileged": True}}
    space.apply(quota, training("crowded", shell(WRITE)), training("privileged", shell(WRITE), container=privileged))
    space.says("trainingjob", "crowded", "Reconciling", "True", "exceeded quota: none")
    refusal = space.says("trainingjob", "privileged", "Reconciling", "True", 'violates PodSecurity "restricted')
    assert refusal["reason"] == "PodRefused"
    assert "must not set securityContext.privileged=true" in refusal["message"]
    space.kubectl("delete", "resourcequota", "none")
    assert space.finished("crowded")["status"]["phase"] == "Succeeded"
    assert space.reaches("privileged", "Pending")


def test_its_version_outlives_one_that_is_removed_when_its_time_has_come(space: Space) -> None:
    space.until("the TrainingJob is removed", lambda: space.get("trainingjob", "passing") is None)
    record = space.get("modelversion", "passing-1")
    assert record is not None
    assert record["spec"]["trainingJob"]["name"] == "passing"


def test_one_that_is_told_to_stop_publishes_nothing_and_is_tried_again(space: Space, store: Store) -> None:
    first = space.in_training("stopped")
    space.kubectl("delete", "pod", first["metadata"]["name"], "--wait=false")
    pod = _next(space, "stopped", first)
    prefix = f"digits/{_uid(space, 'stopped')}/"
    # All that is there of the first is that its store was tried before it began.
    ours = f"{prefix}{first['metadata']['name']}/"
    assert [name.removeprefix(ours) for name in store.names(ours)] == [".perennial/attempt.json"]
    space.let_go(pod)
    status = space.finished("stopped")["status"]
    assert status["phase"] == "Succeeded"
    assert [one["outcome"] for one in status["attempts"]] == ["Failed", "Succeeded"]
    results = [name for name in store.names(prefix) if name.endswith("result.json")]
    assert results == [f"{prefix}{pod['metadata']['name']}/.perennial/result.json"]


def test_one_whose_agent_is_gone_is_ended_and_tried_again(space: Space) -> None:
    first = space.in_training("bereft")
    end = "import os, signal; os.kill(1, signal.SIGTERM)"
    space.kubectl("exec", first["metadata"]["name"], "-c", "agent", "--", "python", "-c", end)
    pod = _next(space, "bereft", first)
    job = space.get("trainingjob", "bereft") or {}
    assert job["status"]["failure"]["reason"] == "AgentFailed"
    assert "the agent ended before the training did" in job["status"]["failure"]["message"]
    space.let_go(pod)
    status = space.finished("bereft")["status"]
    assert (status["phase"], [one["outcome"] for one in status["attempts"]]) == ("Succeeded", ["Failed", "Succeeded"])


def test_a_store_that_is_down_while_publishing_is_waited_for(space: Space, store: Store) -> None:
    space.apply(digits("patient", held=True, backoffLimit=0))
    pod = space.in_training("patient")
    store.stop()
    try:
        space.let_go(pod)
        job = space.reaches("patient", "Publishing")
        assert "being published" in condition(job, "Running")["message"]
    finally:
        store.start()
    job = space.finished("patient")
    assert job["status"]["phase"] == "Succeeded", job["status"]
    assert len(job["status"]["attempts"]) == 1
    record = space.get("modelversion", job["status"]["modelVersion"])
    assert record is not None
    assert record["spec"]["metrics"]["accuracy"] > 0.9
    assert record["spec"]["image"].startswith("localhost/perennial/digits")


def _next(space: Space, name: str, before: Body) -> Body:
    """The pod of the next attempt, while its training runs."""

    def check() -> Body | None:
        pod = space.pod_of(name, training=True)
        return pod if pod and pod["metadata"]["uid"] != before["metadata"]["uid"] else None

    return dict(space.until(f"another attempt of {name} trains", check))


def _uid(space: Space, name: str) -> str:
    return str((space.get("trainingjob", name) or {})["metadata"]["uid"])
