"""Servers are known by their pid and start time, and a stopped one is really gone."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.cache import ClusterError
from e2e.cluster.processes import Server, stop


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, "sleeper")
    yield server
    server.stop(patience=0)


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 5
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def test_is_found_again_by_another_command_and_started_only_once(server: Server) -> None:
    server.start(["sleep", "60"])
    pid = server.pid
    server.start(["sleep", "60"])
    assert Server(server.folder, server.name).pid == pid


def test_is_gone_after_it_was_stopped(server: Server) -> None:
    server.start(["sleep", "60"])
    pid = server.pid
    assert pid
    server.stop()
    assert server.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_is_killed_with_its_children_when_it_does_not_listen(server: Server) -> None:
    server.start(["sh", "-c", "trap '' TERM; echo ready; sleep 60; sleep 60"])
    wait_for("ready", server.log)
    stop([server], patience=0.1)
    assert server.pid is None


def test_a_pid_that_another_process_got_is_not_the_server(server: Server) -> None:
    server.start(["sleep", "60"])
    pid_file = server.folder / "run" / "sleeper.pid"
    own = pid_file.read_text()
    pid_file.write_text(f"{os.getpid()} {own.split()[1]}0")
    assert server.pid is None
    pid_file.write_text(own)
    assert server.pid


def test_says_why_it_ended(server: Server) -> None:
    server.start(["sh", "-c", "echo no such port; exit 3"])
    deadline = time.monotonic() + 5
    while server.pid and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ClusterError, match="no such port"):
        server.check()


def test_a_signal_to_one_that_ended_is_nothing(server: Server) -> None:
    server.start(["true"])
    server.stop()
    server.signal(signal.SIGTERM)
