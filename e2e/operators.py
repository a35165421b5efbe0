"""The operator's pods: which one leads, and how tests end them, freeze them and cut them off."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.cluster.cache import locked
from e2e.lab import SYSTEM, Body, Failed, Lab, condition

LEASE = "perennial"
API_PORT = "6443"  # on the node; Services are rewritten before it is looked at
USER = f"system:serviceaccount:{SYSTEM}:perennial"


def pods(lab: Lab) -> list[Body]:
    """The operator's pods that are not on their way out."""
    found = lab.every("pods", SYSTEM, "app.kubernetes.io/name=perennial,app.kubernetes.io/component=operator")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def leader(lab: Lab) -> Body:
    """The pod that leads."""
    return dict(lab.until("one of the operator's pods leads", lambda: _leader(lab), 60))


def holder(lab: Lab) -> str:
    """Who signed the Lease, empty when nobody holds it."""
    return str(_lease(lab).get("holderIdentity") or "")


def acquired(lab: Lab) -> float:
    """When the one that leads took the Lease, by its own clock, in seconds since the epoch."""
    return datetime.fromisoformat(_lease(lab)["acquireTime"]).timestamp()


def kill_leader(lab: Lab) -> str:
    """SIGKILL the leader's process: no word to anybody, its container is started anew. Returns what it signed with."""
    pod, signed = leader(lab), holder(lab)
    with killed(lab, pod):
        return signed


def replace_leader(lab: Lab) -> str:
    """`kill_leader`, and wait until another leads; one at a time, whatever lane of tests wants it."""
    with locked(lab.cluster.state / "leader.lock"):
        return succeeded(lab, kill_leader(lab))


@contextmanager
def killed(lab: Lab, pod: Body) -> Iterator[None]:
    """SIGKILL a pod's process."""
    kill(pod)
    yield


def kill(pod: Body, word: bytes = b"perennial") -> None:
    """SIGKILL the process of a pod whose command has this word."""
    for process in _processes(pod["metadata"]["uid"], word):
        os.kill(process, signal.SIGKILL)


@contextmanager
def frozen(lab: Lab, pod: Body) -> Iterator[None]:
    """A pod's process does not run until the end of the block. After half a minute its probes have it killed."""
    processes = _processes(pod["metadata"]["uid"])
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@contextmanager
def cut_off(lab: Lab, pod: Body) -> Iterator[None]:
    """Until the end of the block nothing passes between a pod and the API server."""
    address = pod["status"]["podIP"]
    here = [
        ["INPUT", "--source", address, "--protocol", "tcp", "--dport", API_PORT, "--jump", "DROP"],
        ["OUTPUT", "--destination", address, "--protocol", "tcp", "--sport", API_PORT, "--jump", "DROP"],
    ]

    def change(how: str) -> None:
        for rule in here:
            command = lab.cluster.exec_command(["iptables", "--wait", how, *rule])
            subprocess.run(command, check=True, capture_output=True)

    change("--insert")
    try:
        yield
    finally:
        change("--delete")


def succeeded(lab: Lab, before: str, seconds: float = 60) -> str:
    """Wait until somebody else leads; returns what that one signs with."""

    def check() -> str:
        now = holder(lab)
        return now if now != before else ""

    return str(lab.until(f"another than {before} leads", check, seconds))


def ready(lab: Lab, many: int = 2) -> list[Body]:
    """Wait until so many of the operator's pods, and no others, are ready."""

    def check() -> Any:
        found = pods(lab)
        are_ready = [condition(pod, "Ready")["status"] == "True" for pod in found]
        return found if len(found) == many and all(are_ready) else None

    return list(lab.until(f"{many} pods of the operator are ready", check, 120))


def renew_standby(lab: Lab) -> None:
    """Make the pods anew that do not lead and were started again: each time they would be started later."""
    signed = holder(lab)
    for pod in pods(lab):
        name = pod["metadata"]["name"]
        restarts = sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
        if restarts and not signed.startswith(f"{name}_"):
            lab.kubectl("delete", "pod", "-n", SYSTEM, name, "--wait=false")
    ready(lab)


def _lease(lab: Lab) -> Body:
    return dict((lab.get("lease", LEASE, SYSTEM) or {}).get("spec") or {})


def _leader(lab: Lab) -> Body | None:
    signed = holder(lab)
    return next((pod for pod in pods(lab) if signed.startswith(pod["metadata"]["name"] + "_")), None)


def _processes(uid: str, word: bytes = b"perennial") -> list[int]:
    """The processes of a pod that were started with this word, as this host sees them: the node is one of its own."""
    marks = (f"pod{uid}", f"pod{uid.replace('-', '_')}")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = any(mark in (folder / "cgroup").read_text() for mark in marks)
            if inside and word in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    if not found:
        raise Failed(f"no process of the pod {uid} is to be seen from here")
    return found
