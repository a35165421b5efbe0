import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from perennial.agent import training
from perennial.agent.failure import TaskFailed
from perennial.agent.training import Ended
from perennial.api.task import Reason


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.02)


def never() -> bool:
    return False


@pytest.mark.parametrize(
    ("script", "ended"),
    [("exit 0", Ended(0, False)), ("exit 3", Ended(3, False)), ("kill -KILL $$", Ended(137, False))],
)
def test_a_training_that_was_over_before_we_looked(pod: Any, script: str, ended: Ended) -> None:
    pod.train("sh", "-c", script).communicate()
    assert training.wait(pod.layout, never) == ended


def test_a_training_that_ends_while_we_wait(pod: Any, until: Callable[..., None]) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(training.wait, pod.layout, never)
        train = pod.train("sleep", "0.3")
        until((pod.layout.run / "started").exists)
        assert not waiting.done()
        assert train.wait(5) == 0
        assert waiting.result(2) == Ended(0, False)


def test_a_fifo_that_nobody_holds_yet_is_no_end(pod: Any) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(training.wait, pod.layout, stop.is_set)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        stop.set()
        assert waiting.result(2) == Ended(None, interrupted=True)


def test_a_launcher_that_is_killed_leaves_no_exit_code(pod: Any, until: Callable[..., None]) -> None:
    """As the kernel does when a container goes past its memory limit."""
    train = pod.train("sleep", "30")
    until((pod.layout.run / "started").exists)
    train.kill()
    assert training.wait(pod.layout, never) == Ended(None, False)


def test_a_training_that_was_told_to_stop(pod: Any, until: Callable[..., None]) -> None:
    train = pod.train("sh", "-c", "trap 'exit 0' TERM; touch $PERENNIAL_OUTPUT_DIR/up; while :; do sleep 0.02; done")
    until((pod.layout.output / "up").exists)
    train.send_signal(signal.SIGTERM)
    train.communicate()
    assert training.wait(pod.layout, never) == Ended(143, interrupted=True)


def test_the_end_counts_though_we_were_told_to_stop_after_it(pod: Any) -> None:
    pod.train("true").communicate()
    assert training.wait(pod.layout, lambda: True) == Ended(0, False)


def test_success_needs_nothing_more() -> None:
    training.require_success(Ended(0, False))


@pytest.mark.parametrize(
    ("ended", "reason", "words"),
    [
        (Ended(3, False), Reason.TRAINING_FAILED, "exit code 3"),
        (Ended(127, False), Reason.TRAINING_FAILED, "its command could not be started"),
        (Ended(137, False), Reason.TRAINING_FAILED, "memory"),
        (Ended(139, False), Reason.TRAINING_FAILED, "SIGSEGV"),
        (Ended(255, False), Reason.TRAINING_FAILED, "exit code 255"),
        (Ended(None, False), Reason.TRAINING_FAILED, "killed before it could report"),
        (Ended(143, True), Reason.INTERRUPTED, "told to stop"),
        (Ended(0, True), Reason.INTERRUPTED, "told to stop"),
        (Ended(None, True), Reason.INTERRUPTED, "told to stop"),
    ],
)
def test_what_is_said_of_an_end(ended: Ended, reason: Reason, words: str) -> None:
    with pytest.raises(TaskFailed, match=words) as failed:
        training.require_success(ended)
    assert failed.value.reason == reason
