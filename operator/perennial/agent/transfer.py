"""Copies a model or an input out of a store, several files at a time, patient with the store, and checks its digest."""

import logging
import random
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from perennial.agent import digest
from perennial.agent.failure import TaskFailed
from perennial.agent.storage import Location, locate
from perennial.api.task import Artifact, Reason

FILES_AT_ONCE = 4
BATCH = 64  # files between two looks at the clock
PATIENCE = 120.0  # seconds that a store may be away before a step which only reads gives up
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds
OUTAGE = frozenset({Reason.STORE_UNAVAILABLE})

log = logging.getLogger(__name__)
T = TypeVar("T")


def patiently(act: Callable[[], T], until: float | None = None, bear: Collection[Reason] = OUTAGE) -> T:
    """Does `act` again, ever more seldom, while it fails for a reason in `bear`: up to the time `until` (of
    `time.monotonic()`), or for PATIENCE from the first failure."""
    delay = FIRST_DELAY
    while True:
        try:
            return act()
        except TaskFailed as failed:
            until = until or time.monotonic() + PATIENCE
            left = until - time.monotonic()
            if failed.reason not in bear or left <= 0:
                raise
            wait = min(delay * random.uniform(0.5, 1), left)
            log.warning("%s; trying again in %.1f s", failed, wait, extra={"reason": failed.reason})
            time.sleep(wait)
            delay = min(delay * 2, LONGEST_DELAY)


def many(act: Callable[[str], T], names: Sequence[str], doing: str) -> dict[str, T]:
    """`act` for every name, some at once; says now and then how far it is. The first error ends it."""
    done: dict[str, T] = {}
    said = time.monotonic()
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            try:
                done.update(zip(batch, pool.map(act, batch), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            if time.monotonic() - said > 10:
                said = time.monotonic()
                log.info("%s: %d of %d files", doing, len(done), len(names))
    return done


def download(source: Location, to: Path) -> str:
    """Copies one object to the file `to`, or all below a prefix into a folder `to`, and returns the digest."""
    return _copy(source, patiently(source.files), to)


def download_model(source: Location, folder: Path) -> str:
    """Like `download`, but into a folder in any case, emptied first: a single object keeps its own name in it."""
    empty(folder)
    names = patiently(source.files)
    return _copy(source, names, folder / source.name if names == [""] else folder)


def bring(what: str, artifact: Artifact, folder: Path, volumes: Path) -> str:
    """`download_model` of what a task names, with its digest checked; `what` it is begins the words of a failure."""
    source = locate(artifact.uri, volumes)
    try:
        found = download_model(source, folder)
    except TaskFailed as failed:
        raise TaskFailed(failed.reason, f"{what}: {failed}") from failed
    check(f"{what} ({source.shown})", found, artifact.digest)
    return found


def _copy(source: Location, names: list[str], to: Path) -> str:
    def one(name: str) -> str:
        file = to / name if name else to
        file.parent.mkdir(parents=True, exist_ok=True)
        patiently(lambda: source.download(name, file))
        return digest.of_file(file)

    log.info("copying %s", source.shown, extra={"files": len(names)})
    hashes = many(one, names, f"copying {source.shown}")
    return digest.PREFIX + hashes[""] if names == [""] else digest.of_lines(hashes)


def empty(folder: Path) -> None:
    """An empty folder; one that is there may be a mount, and is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def check(what: str, actual: str, expected: str | None) -> None:
    """TaskFailed(DigestMismatch) unless they are the same or nothing was expected."""
    if expected not in (None, actual):
        raise TaskFailed(Reason.DIGEST_MISMATCH, f"{what}: its digest is {actual}, not {expected} as asked for")
