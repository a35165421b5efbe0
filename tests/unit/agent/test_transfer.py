import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import digest, transfer
from perennial.agent.failure import TaskFailed
from perennial.agent.storage import locate
from perennial.api.task import Reason


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, reason: Reason = Reason.STORE_UNAVAILABLE) -> None:
        self.failures = failures
        self.reason = reason
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise TaskFailed(self.reason, f"failure {self.calls}")
        return "answer"


@pytest.mark.usefixtures("impatient")
class TestPatiently:
    def test_an_outage_is_waited_for(self) -> None:
        assert transfer.patiently(Flaky(3)) == "answer"

    def test_only_for_so_long(self) -> None:
        flaky = Flaky(1000)
        began = time.monotonic()
        with pytest.raises(TaskFailed):
            transfer.patiently(flaky)
        assert 0.25 < time.monotonic() - began < 2
        assert 5 < flaky.calls < 40

    def test_the_time_counts_from_the_first_failure(self) -> None:
        def slow() -> str:
            time.sleep(0.4)
            return flaky()

        flaky = Flaky(1)
        assert transfer.patiently(slow) == "answer"

    def test_a_refusal_is_not_tried_again(self) -> None:
        refusing = Flaky(1, Reason.ACCESS_DENIED)
        with pytest.raises(TaskFailed):
            transfer.patiently(refusing)
        assert refusing.calls == 1

    def test_unless_it_is_borne(self) -> None:
        bear = frozenset({Reason.ACCESS_DENIED})
        assert transfer.patiently(Flaky(1, Reason.ACCESS_DENIED), time.monotonic() + 5, bear) == "answer"

    def test_past_the_deadline_there_is_one_attempt(self) -> None:
        flaky = Flaky(1)
        with pytest.raises(TaskFailed):
            transfer.patiently(flaky, time.monotonic() - 1)
        assert flaky.calls == 1


def test_many_keeps_the_names_and_works_at_once() -> None:
    together = threading.Barrier(transfer.FILES_AT_ONCE, timeout=5)

    def act(name: str) -> str:
        together.wait()
        return name.upper()

    names = [f"n{i}" for i in range(transfer.FILES_AT_ONCE * 20)]
    assert transfer.many(act, names, "test") == {name: name.upper() for name in names}


def test_the_first_error_ends_many() -> None:
    seen: list[str] = []

    def act(name: str) -> None:
        seen.append(name)
        raise TaskFailed(Reason.NO_SPACE, "full")

    with pytest.raises(TaskFailed, match="full"):
        transfer.many(act, [f"n{i}" for i in range(1000)], "test")
    assert len(seen) <= transfer.BATCH


def test_a_folder_is_copied_with_its_digest(claim: Path, tmp_path: Path, layout: Any) -> None:
    for name in ("a", "sub/b", ".perennial/result.json"):
        (claim / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (claim / "m" / name).write_text(name)
    found = transfer.download(locate("pvc://claim/m", layout.volumes), tmp_path / "to")
    assert sorted(str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*")) == [
        "a",
        "sub",
        "sub/b",
    ]
    assert found == digest.of_path(claim / "m") == digest.of_path(tmp_path / "to")


def test_one_object_is_copied_to_the_very_path(claim: Path, tmp_path: Path, layout: Any) -> None:
    (claim / "data.csv").write_text("x")
    found = transfer.download(locate("pvc://claim/data.csv", layout.volumes), tmp_path / "to/dataset")
    assert (tmp_path / "to/dataset").read_text() == "x"
    assert found == "sha256:" + hashlib.sha256(b"x").hexdigest()


def test_a_model_of_one_object_keeps_its_name_in_an_emptied_folder(claim: Path, tmp_path: Path, layout: Any) -> None:
    (claim / "model.skops").write_text("x")
    folder = tmp_path / "target"
    (folder / "old").mkdir(parents=True)
    (folder / "old/model.pkl").touch()
    (folder / "link").symlink_to(claim)
    found = transfer.download_model(locate("pvc://claim/model.skops", layout.volumes), folder)
    assert [path.name for path in folder.iterdir()] == ["model.skops"]
    assert found == "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert (claim / "model.skops").exists()


@pytest.mark.usefixtures("impatient")
def test_a_web_server_that_stumbles(web: Any, tmp_path: Path) -> None:
    (web.folder / "data").write_text("x")
    web.answers += [503, 500]
    transfer.download(locate(f"{web.url}/data", tmp_path), tmp_path / "data")
    assert (tmp_path / "data").read_text() == "x"


def test_a_digest_that_differs_is_named() -> None:
    transfer.check("input data", "sha256:a", None)
    transfer.check("input data", "sha256:a", "sha256:a")
    with pytest.raises(TaskFailed, match="input data: its digest is sha256:a, not sha256:b") as failed:
        transfer.check("input data", "sha256:a", "sha256:b")
    assert failed.value.reason == Reason.DIGEST_MISMATCH
