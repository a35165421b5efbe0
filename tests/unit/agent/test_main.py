"""The agent as a process, beside a real launcher."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import digest
from perennial.api.task import Artifact, FetchTask, PrepareTask, PublishTask, RecoverTask

PUBLISH = PublishTask(destination="pvc://claim/churn/uid", publish_deadline_seconds=60)


def end(process: subprocess.Popen[bytes]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and log of a process."""
    output = process.communicate(timeout=20)[0].decode()
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def test_from_prepare_to_a_served_model(pod: Any, claim: Path, web: Any, tmp_path: Path) -> None:
    (web.folder / "data.csv").write_text("1,2")
    task = PrepareTask(
        inputs=(Artifact(name="data", uri=f"{web.url}/data.csv"),),
        parameters={"depth": 6},
        destination=PUBLISH.destination,
    )
    code, log = end(pod.agent("prepare", task))
    assert (code, pod.message) == (0, {"inputs": {"data": digest.of_path(web.folder / "data.csv")}})
    assert {"time", "level", "message"} <= log[0].keys()

    agent = pod.agent("publish", PUBLISH)
    script = """
cp "$PERENNIAL_ROOT/inputs/data" "$PERENNIAL_OUTPUT_DIR/model.skops"
echo '{"rows": 2}' > "$PERENNIAL_METRICS_FILE"
"""
    train = pod.train("sh", "-c", script)
    assert train.wait(10) == 0
    code, log = end(agent)
    published = pod.message
    assert code == 0
    assert published == {
        "uri": "pvc://claim/churn/uid/attempt-1",
        "digest": digest.of_path(claim / "churn/uid/attempt-1"),
        "format": "sklearn",
        "metrics": {"rows": 2.0},
    }
    assert len(pod.layout.termination_log.read_bytes()) < 1024

    pod.layout.termination_log.unlink()
    assert end(pod.agent("recover", RecoverTask(destination=PUBLISH.destination)))[0] == 0
    assert pod.message == published

    pod.layout.termination_log.write_text("")
    model = Artifact(name="churn-1", uri=published["uri"], digest=published["digest"])
    assert end(pod.agent("fetch", FetchTask(model=model, target=str(tmp_path / "model"))))[0] == 0
    assert (tmp_path / "model/model.skops").read_text() == "1,2"
    assert pod.layout.termination_log.read_text() == ""


def test_a_training_of_any_user_can_use_what_prepare_left(pod: Any, web: Any) -> None:
    (web.folder / "data").write_text("x")
    task = PrepareTask(inputs=(Artifact(name="data", uri=f"{web.url}/data"),))
    assert end(pod.agent("prepare", task, umask=0o077))[0] == 0
    modes = {
        str(path.relative_to(pod.layout.root)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in pod.layout.root.rglob("*")
    }
    assert modes == {
        "bin": "0o755",
        "bin/launch": "0o755",
        "inputs": "0o755",
        "inputs/data": "0o644",
        "output": "0o777",
        "parameters.json": "0o644",
        "run": "0o777",
        "run/fifo": "0o666",
    }


def test_a_failure_is_a_message_and_an_exit_code(pod: Any) -> None:
    task = PrepareTask(inputs=(Artifact(name="data", uri="pvc://claim/gone"),))
    code, log = end(pod.agent("prepare", task))
    assert code == 1
    assert pod.message["error"]["reason"] == log[-1]["reason"] == "InputNotFound"
    assert "input data" in pod.message["error"]["message"]


@pytest.mark.parametrize("env", [{"PERENNIAL_TASK": '{"destination": 3}'}, {"PERENNIAL_ATTEMPT": ""}])
def test_a_task_that_is_not_understood(pod: Any, env: dict[str, str]) -> None:
    code, _ = end(pod.agent("publish", PUBLISH, **env))
    assert (code, pod.message["error"]["reason"]) == (1, "AgentFailed")
    assert next(iter(env)) in pod.message["error"]["message"]


def test_what_nobody_thought_of_is_a_message_too(pod: Any) -> None:
    pod.layout.fifo.unlink()
    code, log = end(pod.agent("publish", PUBLISH))
    assert (code, pod.message["error"]["reason"]) == (1, "AgentFailed")
    assert "FileNotFoundError" in pod.message["error"]["message"]
    assert "Traceback" in log[-2]["exception"]


def test_told_to_stop_before_the_end_it_publishes_nothing(pod: Any, claim: Path, until: Callable[..., None]) -> None:
    agent = pod.agent("publish", PUBLISH)
    pod.train("sh", "-c", "echo half > $PERENNIAL_OUTPUT_DIR/model; sleep 30")
    assert b"the training has started" in agent.stdout.readline()
    agent.send_signal(signal.SIGTERM)
    assert end(agent)[0] == 143
    assert pod.message["error"]["reason"] == "Interrupted"
    assert list(claim.iterdir()) == []


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 1)])
def test_of_several_nodes_only_the_first_publishes(pod: Any, claim: Path, command: str, code: int) -> None:
    node = {"JOB_COMPLETION_INDEX": "1"}
    assert end(pod.agent("prepare", PrepareTask(destination=PUBLISH.destination), **node))[0] == 0
    agent = pod.agent("publish", PUBLISH, **node)
    pod.train("sh", "-c", f"echo mine > $PERENNIAL_OUTPUT_DIR/model; {command}").communicate()
    assert end(agent)[0] == code
    assert list(claim.iterdir()) == [], "it has not tried whether it could either"


def test_the_first_of_several_nodes_publishes(pod: Any, claim: Path) -> None:
    agent = pod.agent("publish", PUBLISH, JOB_COMPLETION_INDEX="0")
    pod.train("sh", "-c", "echo mine > $PERENNIAL_OUTPUT_DIR/model").communicate()
    assert end(agent)[0] == 0
    assert pod.message["uri"].startswith(PUBLISH.destination)


def test_a_whole_pod_that_is_told_to_stop(pod: Any, claim: Path) -> None:
    agent = pod.agent("publish", PUBLISH)
    train = pod.train(
        "sh", "-c", "trap 'exit 0' TERM; echo half > $PERENNIAL_OUTPUT_DIR/model; while :; do sleep 0.02; done"
    )
    assert b"the training has started" in agent.stdout.readline()
    train.send_signal(signal.SIGTERM)
    assert train.wait(5) == 143
    agent.send_signal(signal.SIGTERM)
    assert end(agent)[0] == 143
    assert pod.message["error"]["reason"] == "Interrupted"
    assert list(claim.iterdir()) == []


def test_told_to_stop_while_publishing_it_goes_on(pod: Any, s3: Any) -> None:
    s3.stop()
    agent = pod.agent("publish", PUBLISH.model_copy(update={"destination": "s3://acme/m"}))
    pod.train("sh", "-c", "echo whole > $PERENNIAL_OUTPUT_DIR/model")
    for line in agent.stdout:
        if b"trying again" in line:
            break
    agent.send_signal(signal.SIGTERM)
    s3.start()
    assert end(agent)[0] == 0
    assert pod.message["uri"] == "s3://acme/m/attempt-1"
    assert s3.fs.cat("acme/m/attempt-1/model") == b"whole\n"


def test_told_to_stop_while_fetching_it_ends_at_once(pod: Any, s3: Any, tmp_path: Path) -> None:
    s3.stop()
    agent = pod.agent("fetch", FetchTask(model=Artifact(name="m-1", uri="s3://acme/m"), target=str(tmp_path / "m")))
    assert b"trying again" in agent.stdout.readline()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(2) == 143
    assert pod.message["error"]["reason"] == "Interrupted"


def test_a_termination_log_that_cannot_be_written_is_no_failure(pod: Any, claim: Path) -> None:
    pod.train("sh", "-c", "echo whole > $PERENNIAL_OUTPUT_DIR/model").communicate()
    code, log = end(pod.agent("publish", PUBLISH, PERENNIAL_TERMINATION_LOG="/nowhere/log"))
    assert code == 0
    assert "termination message" in log[-1]["message"]


def test_the_digest_for_people(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")

    def printed(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perennial.agent", "digest", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert printed(tmp_path).stdout == digest.of_path(tmp_path) + "\n"
    missing = printed(tmp_path / "gone")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
