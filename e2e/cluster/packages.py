"""What the cluster takes from Debian: installed when root, otherwise named with the command that installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from e2e.cluster.cache import ClusterError, progress

NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "catatonit": "catatonit"}
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def missing(wanted: Mapping[str, str]) -> list[str]:
    """Return the packages whose program (a command, or a file when it begins with /) is not there."""
    return sorted(
        package
        for program, package in wanted.items()
        if not (Path(program).exists() if program.startswith("/") else shutil.which(program, path=PATH))
    )


def ensure(wanted: Mapping[str, str]) -> None:
    """Install what is missing; raises ClusterError naming the command when that takes somebody else."""
    if not (names := missing(wanted)):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise ClusterError(f"programs are missing; on Debian: sudo {' '.join(_install(names))}")
    with progress(f"installing {', '.join(names)}"):
        _run(["apt-get", "update", "-qq"])
        _run(_install(names))


def _install(names: Iterable[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *names]


def _run(command: list[str]) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        raise ClusterError(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
