"""Where everything built, downloaded or started lies (outside the tree), locks on it, and progress lines."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WORTH_TELLING = 1.0


class ClusterError(Exception):
    """Something a person has to know or fix; its text is shown without a traceback."""


def cache_dir() -> Path:
    """Return PERENNIAL_CACHE, or `perennial` in the user's cache directory; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(os.environ.get("PERENNIAL_CACHE") or Path(base) / "perennial").resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made when missing) against every other process; waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(parts: Iterable[bytes | str | Path]) -> str:
    """Return 12 hex digits over the parts; a Path counts with the bytes of its file."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


def say(text: str) -> None:
    """Write one line of progress to standard error, so that standard output stays a command's answer."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(what: str, every: float = 15.0) -> Iterator[None]:
    """Say what takes a while: on a terminal each second, else every `every` seconds, and when it is done."""
    began, done, terminal = time.monotonic(), threading.Event(), sys.stderr.isatty()
    clear = "\r\x1b[K" if terminal else ""

    def tick() -> None:
        while not done.wait(1.0 if terminal else every):
            text = f"{clear}  {what} ... {time.monotonic() - began:.0f}s"
            print(text, end="" if terminal else "\n", file=sys.stderr, flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        done.set()
        ticker.join()
        took = time.monotonic() - began
        if outcome != "done" or took >= _WORTH_TELLING:
            say(f"{clear}  {what}: {outcome} in {took:.1f}s")


def load_once(archives: Iterable[Path], state: Path, load: Callable[[Path], object]) -> None:
    """Load what is not what was last loaded under its name (an archive's is `<name>-<key>.tar`); noted in `state`."""
    for archive in archives:
        image = archive.stem.rpartition("-")[0]
        note = state / "loaded" / image
        if not note.exists() or note.read_text() != archive.name:
            with progress(f"loading image {image}"):
                load(archive)
            note.parent.mkdir(exist_ok=True)
            note.write_text(archive.name)
