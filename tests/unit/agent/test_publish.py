import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import digest, publish
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.storage import Location
from perennial.api.task import PublishTask, Reason, Result, parse_result

# As many and as long as they may be one by one, but too much for one message.
MANY = {"m" * 60 + str(i): i + 0.1234567890123456 for i in range(32)} | {"evaluation": "x" * 250}


@pytest.fixture
def trained(pod: Any) -> Layout:
    """A pod whose training ended well and wrote a model."""
    pod.train("sh", "-c", "cd $PERENNIAL_OUTPUT_DIR; mkdir sub; echo w > model.skops; echo v > sub/v").communicate()
    return pod.layout  # type: ignore[no-any-return]


def run(layout: Layout, destination: str = "pvc://claim/churn/uid", deadline: int = 0, **task: Any) -> Result:
    task["publish_deadline_seconds"] = deadline
    return publish.run(PublishTask(destination=destination, **task), "attempt-1", layout, lambda: False)


def failure(layout: Layout, *given: Any, **task: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as failed:
        run(layout, *given, **task)
    return failed.value


def test_a_model_is_published_to_a_claim(trained: Layout, claim: Path) -> None:
    trained.metrics.write_text('{"accuracy": 0.9, "champion.accuracy": 0.8, "evaluation": "digits"}')
    result = run(trained)
    there = claim / "churn/uid/attempt-1"
    assert result == Result(
        uri="pvc://claim/churn/uid/attempt-1",
        digest=digest.of_path(trained.output),
        format="sklearn",
        metrics={"accuracy": 0.9, "champion.accuracy": 0.8},
        evaluation="digits",
    )
    assert digest.of_path(there) == result.digest
    marker = json.loads((there / ".perennial/result.json").read_text())
    assert marker["attempt"] == "attempt-1"
    assert parse_result(json.dumps(marker)) == result


def test_a_model_is_published_to_s3(trained: Layout, s3: Any) -> None:
    result = run(trained, "s3://acme/models/churn/uid/")
    assert result.uri == "s3://acme/models/churn/uid/attempt-1"
    assert sorted(s3.fs.find("acme")) == [
        f"acme/models/churn/uid/attempt-1/{name}" for name in (".perennial/result.json", "model.skops", "sub/v")
    ]


def test_the_format_that_was_asked_for_wins(trained: Layout) -> None:
    assert run(trained, format="acme").format == "acme"


def test_links_within_the_output_are_published_as_files(trained: Layout, claim: Path) -> None:
    (trained.output / "latest").symlink_to("sub")
    run(trained)
    assert (claim / "churn/uid/attempt-1/latest/v").read_text() == "v\n"
    assert not (claim / "churn/uid/attempt-1/latest").is_symlink()


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (lambda at: shutil.rmtree(at.output), Reason.OUTPUT_INVALID, "No such file"),
        (lambda at: [path.unlink() for path in at.output.rglob("*") if path.is_file()], Reason.OUTPUT_EMPTY, ""),
        (lambda at: (at.output / "x").symlink_to("/etc/hostname"), Reason.OUTPUT_INVALID, "x: the link leads out"),
        (
            lambda at: (shutil.rmtree(at.output), at.output.symlink_to("/etc")),
            Reason.OUTPUT_INVALID,
            "put a link in its",
        ),
        (lambda at: os.mkfifo(at.output / "x"), Reason.OUTPUT_INVALID, "x: is a named pipe"),
        (lambda at: at.metrics.write_text('{"accuracy": NaN}'), Reason.METRICS_INVALID, "accuracy"),
        (lambda at: at.metrics.write_text(json.dumps(MANY)), Reason.METRICS_INVALID, "at most 3072"),
    ],
)
def test_an_output_that_is_no_model(
    trained: Layout, claim: Path, spoil: Callable[[Layout], object], reason: Reason, words: str
) -> None:
    spoil(trained)
    failed = failure(trained)
    assert failed.reason == reason
    assert words in failed.message
    assert list(claim.iterdir()) == []


@pytest.mark.parametrize("command", [["false"], ["no-such-program"]])
def test_a_training_that_failed_publishes_nothing(pod: Any, claim: Path, command: list[str]) -> None:
    (pod.layout.output / "model").write_text("half")
    pod.train(*command).communicate()
    assert failure(pod.layout).reason == Reason.TRAINING_FAILED
    assert list(claim.iterdir()) == []


def test_published_twice_is_published_once(trained: Layout, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(trained, "s3://acme/m")
    monkeypatch.delattr(Location, "upload")
    assert run(trained, "s3://acme/m") == first


def test_what_another_run_left_half_done_is_cleared(trained: Layout, s3: Any) -> None:
    s3.fs.pipe({"acme/m/attempt-1/model.skops": b"half", "acme/m/attempt-1/stale": b"x"})
    result = run(trained, "s3://acme/m")
    assert s3.fs.cat("acme/m/attempt-1/model.skops") == b"w\n"
    assert not s3.fs.exists("acme/m/attempt-1/stale")
    (trained.output / "model.skops").write_text("other")
    assert run(trained, "s3://acme/m").digest != result.digest
    assert s3.fs.cat("acme/m/attempt-1/model.skops") == b"other"


def test_a_result_of_another_model_goes_before_its_files(
    trained: Layout, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(trained, "s3://acme/m")
    (trained.output / "model.skops").write_text("other")

    def fails(*_: object) -> None:
        raise TaskFailed(Reason.STORE_UNAVAILABLE, "gone")

    monkeypatch.setattr(Location, "upload", fails)
    assert failure(trained, "s3://acme/m").reason == Reason.STORE_UNAVAILABLE
    assert not s3.fs.exists("acme/m/attempt-1/.perennial/result.json")


def test_an_output_that_is_written_to_meanwhile(trained: Layout, claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = publish._upload

    def disturbed(*given: Any) -> None:
        upload(*given)
        (trained.output / "model.skops").write_text("late")

    monkeypatch.setattr(publish, "_upload", disturbed)
    assert failure(trained).reason == Reason.OUTPUT_INVALID
    assert not (claim / "churn/uid/attempt-1/.perennial").exists()


@pytest.mark.usefixtures("impatient")
class TestOutage:
    def test_a_store_that_comes_back_gets_the_model(self, trained: Layout, s3: Any) -> None:
        s3.stop()
        back = threading.Timer(1.5, s3.start)
        back.start()
        result = run(trained, "s3://acme/m", deadline=20)
        back.join()
        assert parse_result(s3.fs.cat("acme/m/attempt-1/.perennial/result.json").decode()) == result

    def test_a_store_that_stays_down_until_the_deadline(self, trained: Layout, s3: Any) -> None:
        s3.stop()
        began = time.monotonic()
        failed = failure(trained, "s3://acme/m", deadline=1)
        assert 1 <= time.monotonic() - began < 8
        assert failed.reason == Reason.STORE_UNAVAILABLE
        assert f"s3://acme/m/attempt-1/.perennial/result.json at {s3.endpoint}" in failed.message
        assert "Could not connect" in failed.message
        s3.start()
        assert s3.fs.find("acme") == []

    def test_a_bucket_that_is_made_late(self, trained: Layout, s3: Any) -> None:
        s3.fs.rm("acme", recursive=True)
        late = threading.Timer(0.5, s3.fs.mkdir, ["acme"])
        late.start()
        assert run(trained, "s3://acme/m", deadline=20).format == "sklearn"
        late.join()


def test_only_stores_that_can_be_written(trained: Layout) -> None:
    assert failure(trained, "https://host/models").reason == Reason.INVALID_URI
