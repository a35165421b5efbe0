"""The first process of a native cluster's own namespaces: prepares them, starts the servers and keeps them running.

It is PID 1 there, so when it ends, the kernel ends every container and server of the cluster with it.
Run by native.py as `python -m e2e.cluster.node STATE ADDRESS`; everything it starts is written in STATE/servers.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINK = "eth0"
# Places that servers write to whatever their flags say, and the folder of the state that lies over each.
VOLUMES = "/tmp/hostpath_pv"
MOUNTS = {VOLUMES: "volumes", "/var/lib/kubelet": "kubelet", "/var/log": "var-log"}
# Those that a host does not have otherwise.
MOUNT_POINTS = (VOLUMES, "/var/lib/kubelet")
RESPAWN_SECONDS = 1.0


@dataclass(slots=True)
class Program:
    """A server: its command, and what has to answer before it starts (see `answers`)."""

    name: str
    command: list[str]
    needs: str = ""
    pid: int = 0
    not_before: float = field(default=0.0)

    def startable(self) -> bool:
        """Say whether it is not running and what it needs answers."""
        return not self.pid and time.monotonic() >= self.not_before and (not self.needs or answers(self.needs))

    def start(self, logs: Path) -> None:
        """Start it, with its output added to its log."""
        log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [(os.POSIX_SPAWN_OPEN, 1, str(logs / f"{self.name}.log"), log, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2)]
        self.pid = os.posix_spawnp(self.command[0], self.command, os.environ, file_actions=actions)


def answers(address: str) -> bool:
    """Say whether a URL answers with success, or whether something listens at a Unix socket's path or "host:port"."""
    if address.startswith(("http://", "https://")):
        try:
            with urllib.request.urlopen(address, context=ssl._create_unverified_context(), timeout=1):
                return True
        except OSError:
            return False
    if address.startswith("/"):
        with socket.socket(socket.AF_UNIX) as unix:
            return not unix.connect_ex(address)
    host, port = address.rsplit(":", 1)
    with socket.socket() as tcp:
        tcp.settimeout(1)
        return not tcp.connect_ex((host, int(port)))


def run(*command: str) -> None:
    """Run a command of the preparation; its failure ends the node, with the command in the log."""
    subprocess.run(command, check=True)


def prepare(state: Path, address: str, routes: str) -> None:
    """Make the mounts and the network that the servers expect."""
    run("mount", "--make-rshared", "/")
    for place, folder in MOUNTS.items():
        (state / folder).mkdir(exist_ok=True)
        run("mount", "--bind", str(state / folder), place)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    # The host's side puts its end here once this process lives.
    while not Path(f"/proc/sys/net/ipv4/conf/{LINK}").exists():
        time.sleep(0.02)
    run("ip", "address", "add", f"{address}/30", "dev", LINK)
    run("ip", "link", "set", LINK, "up")
    # Service addresses are rewritten only after a route was found for them; everything else fails at once.
    run("ip", "route", "add", routes, "dev", LINK)
    run("ip", "route", "add", "unreachable", "default")
    settings = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
    for name, value in settings.items():
        if (setting := Path("/proc/sys") / name).exists():
            setting.write_text(value)


def open_volumes(folder: Path) -> None:
    """Let pods of any user write into their volumes: the host-path provisioner makes them for root alone."""
    for volume in os.scandir(folder):
        if volume.stat().st_mode & 0o777 != 0o777:
            os.chmod(volume, 0o777)


def keep_running(programs: list[Program], state: Path) -> None:
    """Start every program when what it needs is there, start it again when it ends, and reap orphans, for ever."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            open_volumes(state / MOUNTS[VOLUMES])
        for program in programs:
            if program.startable():
                program.start(state / "logs")
        while ended := _reap():
            for program in programs:
                if program.pid == ended:
                    print(f"{program.name} ended, starting it again", flush=True)
                    program.pid, program.not_before = 0, time.monotonic() + RESPAWN_SECONDS
        time.sleep(0.05)


def _reap() -> int:
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


def main(state: Path) -> None:
    """Prepare the namespaces and run the servers until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    plan: Mapping[str, Any] = json.loads((state / "servers.json").read_text())
    prepare(state, plan["address"], plan["routes"])
    keep_running([Program(**program) for program in plan["programs"]], state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
