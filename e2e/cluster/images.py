"""Builds the images and keeps each as an archive, keyed by what it is made from: an unchanged one costs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from e2e.cluster import packages, tools
from e2e.cluster.cache import ROOT, ClusterError, cache_dir, digest, locked, progress

TARGETS = ("operator", "agent", "server", "drift", "digits")
TAG = "dev"
_SUITE = "bookworm"
# What a locally built base holds, where no registry gives python:slim and gcc.
_BASES = {
    "base": "python3,python3-venv,ca-certificates,libstdc++6",
    "build-base": "gcc,libc6-dev",
    "torch-base": "python3,python3-venv,python3-torch,ca-certificates,libstdc++6",
}
# The argument of a recipe that names each.
_ARGUMENTS = {"BASE": "base", "BUILD_BASE": "build-base"}
_ARGUMENTS_OF = {"frameworks": {"BASE": "torch-base"}}
# usr-is-merged, with the layout it asks for, stands in for usrmerge, which would bring Perl.
_BOOTSTRAP = (
    "--variant=essential",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "locale", "man", "info")),
    # Who passes an image on passes these on.
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
# What the Dockerfile copies into each image.
_PACKAGE = "operator/perennial"
_AGENT = [
    f"{_PACKAGE}/{part}"
    for part in ("__init__.py", "api/__init__.py", "api/detect.py", "api/evaluate.py", "api/task.py", "agent")
]
_COPIED = {
    "operator": [_PACKAGE],
    "agent": _AGENT,
    "drift": _AGENT,
    "server": [f"{_PACKAGE}/{part}" for part in ("__init__.py", "server")],
    "digits": ["e2e/demo/train"],
}
# What holds one program, and nothing else of this tree, and which; the recipe is in a folder of the image's name.
_PROGRAMS: dict[str, Callable[[], Path]] = {
    "pause": lambda: Path("/usr/bin/catatonit"),
    "traefik": lambda: tools.ensure("traefik")["traefik"],
    "metrics-server": lambda: tools.ensure("metrics-server")["metrics-server"],
    "contour": lambda: tools.ensure("contour")["contour"],
}
# Those that hold more than that, or no program: what is installed, on a base.
_BESIDE = {
    name: ROOT / "requirements" / f"{file}.txt"
    for name, file in {"contour": "envoy", "frameworks": "frameworks"}.items()
}
_KEPT_ARCHIVES = 3
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def name(target: str) -> str:
    """Return the image's name in the cluster, which no registry is asked for."""
    return "localhost/pause:1" if target == "pause" else f"localhost/perennial/{target}:{TAG}"


@cache
def engine() -> str:
    """Return the container engine that answers ("docker" or "podman"), or an empty string."""
    for command in ("docker", "podman"):
        if shutil.which(command) and not subprocess.run([command, "info"], capture_output=True).returncode:
            return command
    return ""


def ensure(target: str) -> Path:
    """Return the image's archive, built when what it is made from has changed.

    Raises ClusterError with the end of the build's output when the build fails.
    """
    if not _engine_for(target):
        # Before the key is made: the pause image is made from one of their files.
        packages.ensure(packages.IMAGES)
    folder = cache_dir() / "images"
    archive = folder / f"{target}-{digest(_inputs(target))}.tar"
    with locked(folder / f".{target}.lock"):
        if not archive.exists():
            _build(target, archive)
            # Another checkout may be using the latest ones.
            by_age = sorted(folder.glob(f"{target}-*.tar"), key=lambda file: file.stat().st_mtime)
            for older in by_age[:-_KEPT_ARCHIVES]:
                older.unlink()
                sbom(older).unlink(missing_ok=True)
    return archive


def sbom(archive: Path) -> Path:
    """Return where the list of what an archive holds lies, when `make sbom` wrote it."""
    return archive.with_suffix(".cdx.json")


def _inputs(target: str) -> Iterator[str | Path]:
    """Yield all that the image is made from: its recipe, its requirements, the files it copies and their names."""
    yield engine()
    bases = str({base: _BASES[base] for base in _ARGUMENTS_OF.get(target, _ARGUMENTS).values()})
    if _apart(target):
        yield from _parts(target)
        if target in _BESIDE:
            yield from (bases, str(_BOOTSTRAP))
        return
    yield from (bases, str(_BOOTSTRAP), ROOT / "Dockerfile", ROOT / f"requirements/{target}.txt")
    for part in _COPIED[target]:
        place = ROOT / part
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(ROOT))
                yield file


def _build(target: str, archive: Path) -> None:
    made = archive.with_suffix(".part")
    made.unlink(missing_ok=True)
    command = _engine_for(target)
    stage = [] if _apart(target) else ["--target", target]
    # Before the image's own progress is told, since each of them takes longer.
    based = (target not in _PROGRAMS or target in _BESIDE) and not command
    bases = _ARGUMENTS_OF.get(target, _ARGUMENTS) if based else {}
    arguments = {argument: _ensure_base(base) for argument, base in bases.items()}
    with progress(f"building image {name(target)}"), _context(target) as context:
        if command:
            _run([command, "build", "-q", *stage, "-t", name(target), str(context)])
            _run([command, "save", "-o", str(made), name(target)])
        else:
            _buildah_build(target, context, arguments, *stage)
            _buildah("push", name(target), f"docker-archive:{made}:{name(target)}")
    made.rename(archive)


def _engine_for(target: str) -> str | None:
    """Return the container engine that builds it; the native cluster's pause image is made without one."""
    return None if target == "pause" else engine()


def _apart(target: str) -> bool:
    """Whether its recipe is in a folder of its own, and needs nothing of this tree."""
    return target in _PROGRAMS or target in _BESIDE


def _parts(target: str) -> Iterator[Path]:
    """Yield the recipe of an image that stands apart, and what it copies."""
    yield ROOT / "e2e" / "cluster" / target / "Dockerfile"
    if target in _PROGRAMS:
        yield _PROGRAMS[target]()
    if target in _BESIDE:
        yield _BESIDE[target]


@contextmanager
def _context(target: str) -> Iterator[Path]:
    """The folder that the image is built from: this tree, or one that holds its program."""
    if not _apart(target):
        yield ROOT
        return
    context = cache_dir() / "images" / target
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    for file in _parts(target):
        shutil.copy(file, context)
    yield context
    shutil.rmtree(context)


def _ensure_base(kind: str) -> str:
    """Return the name of a local base image, made from Debian's packages when it is not there."""
    base = f"localhost/perennial-{kind}:{digest([_SUITE, _BASES[kind], *_BOOTSTRAP])}"
    with locked(cache_dir() / "images" / f".{kind}.lock"):
        if not _buildah("images", "-q", "--filter", f"reference={base}"):
            context = cache_dir() / "images" / kind
            context.mkdir(exist_ok=True)
            with progress(f"building base image {base}"):
                packed = str(context / "base.tar")
                _run(["mmdebstrap", "-q", *_BOOTSTRAP, f"--include={_BASES[kind]}", _SUITE, packed])
                (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
                _buildah("build", "-q", "--isolation=chroot", "-t", base, str(context))
            shutil.rmtree(context)
    return base


def _buildah_build(target: str, context: Path, arguments: Mapping[str, str], *more: str) -> None:
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    options = ["--layers", "--isolation=chroot", "--network=host", *_certificate_mounts(), *given, *more]
    _buildah("build", "-q", *options, "-t", name(target), str(context))


def _certificate_mounts() -> list[str]:
    """Return the mounts that let pip trust the host's certificates during the build, and only then."""
    if not _CERTIFICATES.exists():
        return []
    config = cache_dir() / "images" / "pip.conf"
    config.write_text(f"[global]\ncert = {_CERTIFICATES}\n")
    return [f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro", f"--volume={config}:/etc/pip.conf:ro"]


def _buildah(*args: str) -> str:
    storage = cache_dir() / "containers"
    return _run(["buildah", f"--root={storage}/storage", f"--runroot={storage}/run", "--storage-driver=overlay", *args])


def _run(command: list[str]) -> str:
    result = subprocess.run(command, env=os.environ | {"PATH": packages.PATH}, capture_output=True, text=True)
    if result.returncode:
        raise ClusterError(f"{' '.join(command)} failed:\n{(result.stdout + result.stderr)[-3000:]}")
    return result.stdout
