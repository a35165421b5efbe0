"""The programs of a cluster, built from Go modules once and kept in the cache, keyed by what they are made from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from e2e.cluster.cache import ClusterError, cache_dir, digest, locked, progress

MODULES = Path(__file__).parent / "modules"
# Clusters are of this version: the last whose kubelet accepts version 1 of control groups.
KUBERNETES = "v1.34.4"
# API servers may be of a newer one, and their controllers with them.
SERVED = {"1.34": KUBERNETES, "1.35": "v1.35.4", "1.36": "v1.36.3"}
# What that of 1.34 can behave as: its features, and its defaults, are those of then.
EMULATED = ("1.31", "1.32", "1.33")


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: the folder of its Go module under `modules/`, its package, and extra linker flags. `lacks`: a module
    and a file of it that its authors make before they build, as pages of a browser: it is built with an empty one."""

    module: str
    package: str
    ldflags: str = ""
    lacks: tuple[str, str] | None = None


def _kube(name: str, version: str = KUBERNETES, module: str = "kube") -> Tool:
    about, (major, minor, _) = "k8s.io/component-base/version", version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return Tool(
        module,
        f"k8s.io/kubernetes/cmd/{name}",
        " ".join(f"-X {about}.{variable}={value}" for variable, value in values.items()),
    )


def _minor() -> str:
    minor = os.environ.get("PERENNIAL_KUBERNETES") or "1.34"
    if minor not in (*EMULATED, *SERVED):
        raise ClusterError(f"PERENNIAL_KUBERNETES={minor}: use one of {', '.join((*EMULATED, *SERVED))}")
    return minor


def _served(name: str) -> Tool:
    """In the version that PERENNIAL_KUBERNETES names (1.35, say), or in one that can behave as it."""
    version = SERVED.get(_minor(), KUBERNETES)
    return _kube(name, version, "kube" if version == KUBERNETES else f"kube-{_minor()}")


def emulation() -> list[str]:
    """The flags that make an API server, and its controllers, behave as the version that PERENNIAL_KUBERNETES names."""
    return [f"--emulated-version=kube={_minor()}"] if _minor() in EMULATED else []


TOOLS: dict[str, Tool] = {
    "etcd": Tool("etcd", "go.etcd.io/etcd/server/v3"),
    **{name: _kube(name) for name in ("kubectl", "kube-scheduler", "kubelet", "kube-proxy", "kubeadm")},
    **{name: _served(name) for name in ("kube-apiserver", "kube-controller-manager")},
    "coredns": Tool("coredns", "."),
    "helm": Tool("helm", "helm.sh/helm/v3/cmd/helm", "-X helm.sh/helm/v3/internal/version.version=v3.22.0"),
    "kubeconform": Tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform"),
    "kind": Tool("kind", "sigs.k8s.io/kind"),
    "traefik": Tool("traefik", "github.com/traefik/traefik/v3/cmd/traefik"),
    "contour": Tool("contour", "github.com/projectcontour/contour/cmd/contour"),
    "prometheus": Tool("prometheus", "github.com/prometheus/prometheus/cmd/prometheus"),
    "promtool": Tool("prometheus", "github.com/prometheus/prometheus/cmd/promtool"),
    "alertmanager": Tool(
        "alertmanager",
        "github.com/prometheus/alertmanager/cmd/alertmanager",
        lacks=("github.com/prometheus/alertmanager", "ui/app/dist/index.html"),
    ),
    "metrics-server": Tool(
        "metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        "-X k8s.io/client-go/pkg/version.gitVersion=v0.9.0",
    ),
}
APISERVER_TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NATIVE_TOOLS = (*APISERVER_TOOLS, "kube-scheduler", "kubelet", "kube-proxy", "kubeadm", "coredns")


@cache
def _go() -> tuple[str, str]:
    """Return the go command and its version."""
    go = shutil.which("go") or next((p for p in ("/usr/local/go/bin/go", "/usr/lib/go/bin/go") if Path(p).exists()), "")
    if not go:
        raise ClusterError("Go 1.24 or newer is needed to build the cluster's programs: https://go.dev/doc/install")
    return go, subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()


@cache
def path(name: str) -> Path:
    """Return where the program lies once it is built; nothing is built by this."""
    folder = MODULES / TOOLS[name].module
    sources = sorted(file for file in folder.rglob("*") if file.suffix in (".go", ".mod", ".sum"))
    key = digest([*sources, TOOLS[name].ldflags, _go()[1]])
    return cache_dir() / "bin" / key / name


def source(name: str, module: str) -> Path:
    """Return where the source of a module lies, in the version that the program is built with; fetched when it is not.

    Raises ClusterError with Go's words when it cannot be had.
    """
    command = [_go()[0], "mod", "download", "-json", module]
    result = subprocess.run(command, cwd=MODULES / TOOLS[name].module, capture_output=True, text=True)
    if result.returncode:
        raise ClusterError(f"fetching {module} failed:\n{result.stderr or result.stdout}")
    return Path(json.loads(result.stdout)["Dir"])


def ensure(*names: str) -> dict[str, Path]:
    """Build what is missing of the named programs, one after the other, and return where they lie.

    Raises ClusterError with the compiler's last lines when a build fails.
    """
    for name in names:
        if not path(name).exists():
            _build(name)
    return {name: path(name) for name in names}


def _completed(folder: Path, name: str, lacks: tuple[str, str]) -> Path:
    """A go.mod by which the module that lacks a file is a copy of it that has one, which is empty: the module cache may
    not be changed, nor laid over."""
    module, file = lacks
    copy, made = folder / "module", folder / "go.mod"
    shutil.copytree(source(name, module), copy, copy_function=shutil.copyfile)
    for inner in (copy, *copy.rglob("*")):
        inner.chmod(0o755 if inner.is_dir() else 0o644)
    (copy / file).parent.mkdir(parents=True, exist_ok=True)
    (copy / file).touch()
    for suffix in (".mod", ".sum"):
        shutil.copyfile(MODULES / TOOLS[name].module / f"go{suffix}", made.with_suffix(suffix))
    subprocess.run([_go()[0], "mod", "edit", f"-replace={module}={copy}", str(made)], check=True)
    return made


def _build(name: str) -> None:
    tool, target = TOOLS[name], path(name)
    with locked(target.with_name(f".{name}.lock")):
        if target.exists():
            return
        with progress(f"building {name}"), tempfile.TemporaryDirectory(dir=target.parent) as work:
            made = Path(work) / name
            command = ["build", "-trimpath", "-mod=readonly", "-ldflags", f"-s -w {tool.ldflags}", "-o", str(made)]
            if tool.lacks:
                command.append(f"-modfile={_completed(Path(work), name, tool.lacks)}")
            result = subprocess.run(
                [_go()[0], *command, tool.package],
                cwd=MODULES / tool.module,
                env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
                capture_output=True,
                text=True,
            )
            if result.returncode:
                tail = "\n".join(result.stderr.splitlines()[-15:])
                raise ClusterError(f"building {name} failed:\n{tail}")
            made.rename(target)
