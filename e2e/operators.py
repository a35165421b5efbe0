"""The operator's pods: which one leads, and how tests end them."""

import os
import signal
from pathlib import Path
from typing import Any

from e2e.lab import SYSTEM, Body, Failed, Lab, condition

LEASE = "perennial"
USER = f"system:serviceaccount:{SYSTEM}:perennial"


def pods(lab: Lab) -> list[Body]:
    """The operator's pods that are not on their way out."""
    found = lab.every("pods", SYSTEM, "app.kubernetes.io/name=perennial")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def leader(lab: Lab) -> Body:
    """The pod that leads."""
    return dict(lab.until("one of the operator's pods leads", lambda: _leader(lab), 60))


def holder(lab: Lab) -> str:
    """Who signed the Lease, empty when nobody holds it."""
    lease = lab.get("lease", LEASE, SYSTEM) or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def kill_leader(lab: Lab) -> str:
    """SIGKILL the leader's process: no word to anybody, its container is started anew. Returns what it signed with."""
    pod, signed = leader(lab), holder(lab)
    for process in _processes(pod["metadata"]["uid"]):
        os.kill(process, signal.SIGKILL)
    return signed


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


def _leader(lab: Lab) -> Body | None:
    signed = holder(lab)
    return next((pod for pod in pods(lab) if signed.startswith(pod["metadata"]["name"] + "_")), None)


def _processes(uid: str) -> list[int]:
    """The processes of a pod's operator container, as this host sees them: the node is one of its own."""
    marks = (f"pod{uid}", f"pod{uid.replace('-', '_')}")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = any(mark in (folder / "cgroup").read_text() for mark in marks)
            if inside and b"perennial" in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    if not found:
        raise Failed(f"no process of the operator's pod {uid} is to be seen from here")
    return found
