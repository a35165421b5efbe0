"""Server processes that outlive the command that starts them: known by pid and start time, stopped and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import ClusterError


@dataclass(frozen=True, slots=True)
class Server:
    """A process with a log in `folder`/logs and a pid file in `folder`/run; it leads its own session and group."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """The file that takes the process's output; every start adds to it."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "run" / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """The pid while that very process lives, otherwise None."""
        try:
            pid, born = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _born(int(pid)) == born else None

    def start(self, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        """Start the command unless it runs already."""
        if self.pid:
            return
        for file in (self.log, self._pid_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        words = [str(word) for word in command]
        pid = os.posix_spawnp(words[0], words, os.environ | (env or {}), file_actions=actions, setsid=True)
        self._pid_file.write_text(f"{pid} {_born(pid)}")

    def check(self) -> None:
        """Raise ClusterError with the end of the log when the process is not alive."""
        if not self.pid:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:]) if self.log.exists() else ""
            raise ClusterError(f"{self.name} is not running, its log {self.log} ends with:\n{tail}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process's whole group; nothing happens when it is gone."""
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def stop(self, patience: float = 20.0) -> None:
        """Ask the process to end, kill it after `patience` seconds, and return when it is gone."""
        stop([self], patience)


def stop(servers: Iterable[Server], patience: float = 20.0) -> None:
    """Stop the servers at once and return when all are gone; what still runs after `patience` seconds is killed."""
    running = [server for server in servers if server.pid]
    for server in running:
        server.signal(signal.SIGTERM)
    deadline = time.monotonic() + patience
    while running := [server for server in running if server.pid]:
        if time.monotonic() > deadline:
            for server in running:
                server.signal(signal.SIGKILL)
        time.sleep(0.05)


def _born(pid: int) -> str:
    """Return the kernel's start time of a living process, or an empty string; an own child that ended is reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # A zombie is gone for good only when its last thread is: until then it may hold its port.
    return "" if fields[0] in "ZX" and fields[17] in "01" else fields[19]
