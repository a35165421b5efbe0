"""Trainings that fail, each for another reason: told in words, retried as often as asked, and never published."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.diary import SOON, Diary, bad_since
from e2e.lab import Body, Lab, condition
from e2e.space import IMAGE, RESTRICTED, Space, container_state, digits, shell, training
from e2e.store import BUCKET, Store
from perennial.api.base import parse_time
from tests.prove.report import FULL, Proof

TITLE = "Workload truth"
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
    always: bool = True  # else only in full


def rarely(command: list[str], reason: str, words: str, exit_code: int | None = None, **spec: Any) -> Bad:
    """One that is tried in full only."""
    return Bad(command, reason, words, exit_code, spec, always=False)


def measures(text: str) -> list[str]:
    """A training whose model is fine, and whose metrics file is not."""
    return shell(f"{WRITE}; cat > \"$PERENNIAL_METRICS_FILE\" <<'EOF'\n{text}\nEOF\n")


def writes(script: str) -> list[str]:
    """A training that ends well and leaves something beside its model."""
    return shell(f'{WRITE}; cd "$PERENNIAL_OUTPUT_DIR"; {script}')


def scratch(**kind: Any) -> Body:
    """A pod with a small volume, and the training with it mounted at /scratch."""
    mount = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    return {"pod": {"volumes": [{"name": "scratch", "emptyDir": kind}]}, "container": mount}


# Of another user, who lets nobody read it.
STRANGER: Body = {
    "name": "stranger",
    "image": IMAGE,
    "command": shell("umask 077; echo secret > /perennial/output/secret"),
    "volumeMounts": [{"name": "perennial", "mountPath": "/perennial"}],
    "securityContext": {**RESTRICTED, "runAsUser": 1000},
}
LISTENS = "import os, socket; socket.socket(socket.AF_UNIX).bind(os.environ['PERENNIAL_OUTPUT_DIR'] + '/s')"
EXTERNAL: Body = {"output": {"mode": "External"}}
ANSWERS_NAN = '{"uri": "s3://b/k", "digest": "sha256:' + "0" * 64 + '", "metrics": {"accuracy": NaN}}'
# The shell's own number; the kubelet makes one of two dollars.
SELF = "$$$$"
BLOCKS = "while :; do sleep 1; done"

ALL_BAD = {
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
        spec={"container": {"image": "localhost/perennial/nowhere:1"}, "pendingDeadlineSeconds": 45},
    ),
    "homeless": Bad(
        shell(WRITE),
        "PendingDeadlineExceeded",
        "cannot be scheduled",
        spec={"pod": {"nodeSelector": {"there": "is-none"}}, "pendingDeadlineSeconds": 20},
    ),
    # It hangs, and does not even hear that it is told to stop.
    "deaf": Bad(
        shell(f"trap '' TERM; {BLOCKS}"),
        "DeadlineExceeded",
        "longer than activeDeadlineSeconds (5)",
        spec={"activeDeadlineSeconds": 5},
    ),
    "hung": rarely(shell(BLOCKS), "DeadlineExceeded", "activeDeadlineSeconds (10)", activeDeadlineSeconds=10),
    "segfault": Bad(shell(f"kill -s SEGV {SELF}"), "TrainingFailed", "exit code 139 (SIGSEGV)", 139),
    "aborted": rarely(shell(f"kill -s ABRT {SELF}"), "TrainingFailed", "exit code 134 (SIGABRT)", 134),
    "killed": Bad(shell(f"kill -s KILL {SELF}"), "Killed", "(SIGKILL)", 137),
    "terminated": rarely(shell(f"kill -s TERM {SELF}"), "TrainingFailed", "exit code 143 (SIGTERM)", 143),
    **{f"code{code}": rarely(shell(f"exit {code}"), "TrainingFailed", f"exit code {code}", code) for code in (1, 2)},
    **{f"code{code}": rarely(shell(f"exit {code}"), "StartError", "cannot be run", code) for code in (126, 127)},
    "code137": rarely(shell("exit 137"), "Killed", "(SIGKILL)", 137),
    "code143": rarely(shell("exit 143"), "TrainingFailed", "exit code 143 (SIGTERM)", 143),
    "code255": rarely(shell("exit 255"), "TrainingFailed", "exit code 255", 255),
    "unrunnable": rarely(["/etc/passwd"], "StartError", "Permission denied", 126),
    "talkative": rarely(shell("seq 100000 >&2; echo no column age >&2; exit 1"), "TrainingFailed", "no column age", 1),
    # Nobody waits for what it leaves behind.
    "parent": Bad(shell("sleep 3600 & exit 3"), "TrainingFailed", "exit code 3", 3),
    "saboteur": rarely(shell(f"{WRITE}; rm -rf /perennial/run"), "TrainingFailed", "exit code 125", 125),
    "greedy-worker": rarely(
        ["python", "-c", "import subprocess as s; s.run(['python', '-c', 'x = bytes(1 << 20) * 256'], check=True)"],
        "OutOfMemory",
        "raise limits.memory",
        1,
        container={"resources": {"limits": {"memory": "64Mi"}}},
    ),
    "half": Bad(
        shell(f'head -c 1M /dev/zero > "$PERENNIAL_OUTPUT_DIR/weights.bin"; kill -s KILL {SELF}'),
        "Killed",
        "(SIGKILL)",
        137,
        {"output": {"uri": f"s3://{BUCKET}"}},
    ),
    "nan": Bad(measures('{"accuracy": NaN}'), "MetricsInvalid", "accuracy: expected a finite number, not nan", 1),
    "infinite": rarely(measures('{"loss": -Infinity}'), "MetricsInvalid", "a finite number, not -inf", 1),
    "overflow": rarely(measures('{"loss": 1e999}'), "MetricsInvalid", "a finite number, not inf", 1),
    "huge": Bad(
        shell(f'{WRITE}; head -c 100M /dev/zero > "$PERENNIAL_METRICS_FILE"'),
        "MetricsInvalid",
        "more than 65536 bytes",
        1,
    ),
    **{
        name: rarely(shell(f'{WRITE}; {how} "$PERENNIAL_METRICS_FILE"'), "MetricsInvalid", "it is not a file", 1)
        for name, how in {"folder": "mkdir", "pipe": "mkfifo", "dangling": "ln -s /nowhere"}.items()
    },
    "escaping": Bad(writes("ln -s /etc/hostname x"), "OutputInvalid", "x: the link leads out of the folder", 1),
    "circling": rarely(writes("ln -s . x"), "OutputInvalid", "x: the link leads back", 1),
    "listening": rarely(["python", "-c", LISTENS], "OutputInvalid", "s: is a socket", 1),
    "piping": rarely(writes("mkfifo x"), "OutputInvalid", "x: is a named pipe", 1),
    "misnamed": Bad(writes("touch $(printf '\\377')"), "OutputInvalid", "cannot be kept in a store", 1),
    "unreadable": Bad(shell(WRITE), "OutputInvalid", "Permission denied", 1, {"pod": {"initContainers": [STRANGER]}}),
    "replaced": Bad(
        shell('rmdir "$PERENNIAL_OUTPUT_DIR"; ln -s /etc "$PERENNIAL_OUTPUT_DIR"'),
        "OutputInvalid",
        "put a link in its place",
        1,
    ),
    "removed": rarely(shell('rmdir "$PERENNIAL_OUTPUT_DIR"'), "OutputInvalid", "No such file", 1),
    "cramped": Bad(
        shell("head -c 2M /dev/zero > /scratch/x"),
        "TrainingFailed",
        "No space left on device",
        1,
        scratch(medium="Memory", sizeLimit="1Mi"),
    ),
    "evicted": rarely(
        shell(f"head -c 5M /dev/zero > /scratch/x; {BLOCKS}"),
        "Evicted",
        "exceeds the limit",
        **scratch(sizeLimit="1Mi"),
    ),
    "overflowing": rarely(
        shell(f"head -c 20M /dev/zero > $HOME/x; {BLOCKS}"),
        "Evicted",
        "ephemeral local storage usage exceeds",
        container={"resources": {"limits": {"memory": "64Mi", "ephemeral-storage": "5Mi"}}},
    ),
    "silent": rarely(shell("true"), "ResultMissing", "left no result", **EXTERNAL),
    "boastful": rarely(
        shell(f"echo '{ANSWERS_NAN}' > /dev/termination-log"), "MessageInvalid", "metrics.accuracy", **EXTERNAL
    ),
}
BAD = {name: one for name, one in ALL_BAD.items() if FULL or one.always}
# So many are begun ahead of the one that is asked for.
AHEAD = 16


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store, diary: Diary) -> Space:
    """Many at once: most of the time they wait."""
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
    leaving = training("leaving", shell(f"{WRITE}; sleep 3600 & exit 0"))
    begin(space, *list(BAD)[:AHEAD])
    passing = training("passing", shell(WRITE), ttlSecondsAfterFinished=1)
    held = [digits(name, held=True, backoffLimit=1) for name in ("stopped", "bereft")]
    space.apply(retried, passing, leaving, *held)
    return space


def begin(space: Space, *names: str) -> None:
    """Apply bad ones."""
    space.apply(
        *(training(name, BAD[name].command, backoffLimit=BAD[name].retries, **BAD[name].spec) for name in names)
    )


@pytest.fixture(scope="module")
def diary(lab: Lab) -> Iterator[Diary]:
    """Kept from before the first of them begins."""
    with Diary(lab, "e2e-training") as diary:
        yield diary


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


@pytest.mark.proof(TITLE)
@pytest.mark.parametrize("name", BAD)
def test_why_it_failed_is_said_in_words(space: Space, diary: Diary, proof: Proof, name: str) -> None:
    wanted, names = BAD[name], list(BAD)
    begin(space, name, *names[names.index(name) + AHEAD :][:1])
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
    became, said = _became(diary, name), diary.said("trainingjobs", name, wanted.reason, wanted.words)
    assert said is not None
    assert said - became < SOON
    proof.count("trainings that fail")


@pytest.mark.proof(TITLE)
def test_what_was_killed_in_the_middle_of_writing_is_not_published(space: Space, store: Store, proof: Proof) -> None:
    job = space.finished("half")
    (attempt,) = job["status"]["attempts"]
    prefix = f"half/{job['metadata']['uid']}/{attempt['pod']}/"
    assert [name.removeprefix(prefix) for name in store.names(f"half/{job['metadata']['uid']}/")] == [
        ".perennial/attempt.json"
    ]
    proof.count("half outputs not published")


@pytest.mark.proof(TITLE)
def test_what_a_training_leaves_behind_is_not_waited_for(space: Space, proof: Proof) -> None:
    job = space.finished("leaving")
    assert job["status"]["phase"] == "Succeeded", job["status"]
    proof.count("trainings that leave a process behind")


def test_a_pod_that_its_namespace_refuses_says_why_until_it_may_run(lab: Lab) -> None:
    space = Space(lab, "e2e-refused", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    privileged = {"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}}
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


def _became(diary: Diary, name: str) -> float:
    """When it became so that the training fails: its last pod went wrong, or a deadline passed."""
    spec = ALL_BAD[name].spec
    pods = diary.pods("perennial.dev/trainingjob", name)
    if deadline := spec.get("activeDeadlineSeconds"):
        (states,) = pods
        started = next(
            at for seen in states if (at := container_state(seen.body, "train").get("running", {}).get("startedAt"))
        )
        return parse_time(started).timestamp() + float(deadline)
    if deadline := spec.get("pendingDeadlineSeconds"):
        made = diary.states("trainingjobs", name)[0].body["metadata"]["creationTimestamp"]
        return parse_time(made).timestamp() + float(deadline)
    # One that left no result ended well.
    return max(bad_since(states) or states[-1].at for states in pods)
