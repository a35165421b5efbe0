"""The log of requests: files of a minute each, taken to a store, kept for a while, and found again by time.

A server appends lines to `<YYYY-MM-DDTHHMM>….jsonl` in the folder; in the store it is `<YYYY-MM-DD>/<HHMM>-….jsonl`.
"""

import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.storage import Location, locate
from perennial.agent.transfer import many, patiently
from perennial.api.task import Reason, ShipTask

EVERY = 15.0  # seconds between two looks into the folder
LATE = timedelta(seconds=75)  # after its beginning nobody writes to a minute any more
PRUNED_EVERY = 3600.0  # seconds
STOPPING = 20.0  # seconds that a store which is away may take from the end of a pod
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\dT\d{4}).*\.jsonl")
_STORED = re.compile(r"(\d{4})-.*\.jsonl")
_DAY, _MINUTE = "%Y-%m-%d", "%Y-%m-%dT%H%M"

log = logging.getLogger(__name__)


def ship(task: ShipTask, pod: str, layout: Layout, told_to_stop: Callable[[], bool]) -> None:
    """Go on until told to stop. A store that is away or refuses is told of in the log, and tried again."""
    target, folder = locate(task.uri, layout.volumes), Path(task.folder)
    pruned = float("-inf")
    while not (last := told_to_stop()):
        _take(folder, target, pod, datetime.now(UTC) - LATE)
        if time.monotonic() - pruned > PRUNED_EVERY:
            pruned = time.monotonic()
            _bearing("what is old cannot be removed", partial(prune, target, timedelta(seconds=task.keep_seconds)))
        until = time.monotonic() + EVERY
        while time.monotonic() < until and not told_to_stop():
            time.sleep(0.2)
    until = time.monotonic() + STOPPING
    while last and not _take(folder, target, pod, datetime.max.replace(tzinfo=UTC)) and time.monotonic() < until:
        time.sleep(1.0)


def _take(folder: Path, target: Location, pod: str, before: datetime) -> bool:
    """Move what was begun before this time to the store, and say whether all of it is there now."""
    done = True
    for file in sorted(folder.iterdir()):
        if not (found := _LOCAL.fullmatch(file.name)):
            continue
        begun = datetime.strptime(found[1], _MINUTE).replace(tzinfo=UTC)
        if begun < before:
            # A minute that is written to once more, after all, is another file.
            name = f"{begun:{_DAY}}/{begun:%H%M}-{pod}-{os.urandom(4).hex()}.jsonl"
            done &= _bearing(f"{file.name} cannot be stored", partial(_move, file, target, name))
    return done


def _move(file: Path, target: Location, name: str) -> None:
    # Who was killed while writing leaves half a line.
    content, newline, _ = file.read_bytes().rpartition(b"\n")
    if newline:
        target.write(name, content + newline)
    file.unlink()


def _bearing(words: str, act: Callable[[], None]) -> bool:
    try:
        act()
    except TaskFailed as failed:
        log.warning("%s: %s", words, failed, extra={"reason": failed.reason})
        return False
    return True


def prune(target: Location, keep: timedelta) -> None:
    """Remove days that ended longer ago than this."""
    first = (datetime.now(UTC) - keep).strftime(_DAY)
    for day in target.names():
        if _is_day(day) and day < first:
            for name in target.child(day).names():
                try:
                    target.remove(f"{day}/{name}")
                except TaskFailed as failed:
                    # Another pod was faster.
                    if failed.reason != Reason.NOT_FOUND:
                        raise


def download(uri: str, folder: Path, since: datetime, volumes: Path) -> int:
    """Bring what was begun since then into the folder; how many files that were."""
    source, first = locate(uri, volumes), since.strftime(_MINUTE)
    names = [
        f"{day}/{name}"
        for day in patiently(source.names)
        if _is_day(day) and day >= since.strftime(_DAY)
        for name in patiently(source.child(day).names)
        if (found := _STORED.fullmatch(name)) and f"{day}T{found[1]}" >= first
    ]
    folder.mkdir(parents=True, exist_ok=True)

    def one(name: str) -> None:
        patiently(lambda: source.download(name, folder / name.replace("/", "T")))

    many(one, names, f"copying {source.shown}")
    return len(names)


def _is_day(name: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d", name) is not None
