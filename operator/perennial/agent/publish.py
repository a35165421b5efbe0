"""The container beside the training: waits for its end, then uploads the output.

Only `.perennial/result.json`, which is written last, makes a model count as published.
"""

import json
import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from perennial.agent import digest, formats, metrics, training
from perennial.agent.digest import Stamp
from perennial.agent.failure import TaskFailed, Unsuitable
from perennial.agent.layout import RESULT, Layout
from perennial.agent.storage import Location, OneFile, locate
from perennial.agent.transfer import many, patiently
from perennial.api.task import MAX_MESSAGE_BYTES, PublishTask, Reason, Result, parse_result

# A finished training is worth waiting for: a full claim is enlarged, a bucket's policy is corrected.
BEAR = frozenset({Reason.STORE_UNAVAILABLE, Reason.ACCESS_DENIED, Reason.NOT_FOUND, Reason.NO_SPACE})

log = logging.getLogger(__name__)


def run(task: PublishTask, attempt: str, layout: Layout, told_to_stop: Callable[[], bool]) -> Result:
    """Waits, checks and publishes. Told to stop before the training's end it publishes nothing; later it goes on."""
    training.require_success(training.wait(layout, told_to_stop))
    until = time.monotonic() + task.publish_deadline_seconds
    log.info("the training has ended well; publishing its output")
    target = attempt_location(task.destination, attempt, layout)
    files = _files(layout.output)
    result = _result(target.uri, task.format, files, layout)
    _upload(result, files, layout.output, target, until)
    if _files(layout.output) != files:
        raise TaskFailed(Reason.OUTPUT_INVALID, "the output was changed while it was being published")
    marker = json.loads(result.to_json()) | {
        "attempt": attempt,
        "publishedAt": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    patiently(lambda: target.write(RESULT, json.dumps(marker).encode()), until, BEAR)
    log.info("published %s", target.shown, extra={"uri": result.uri, "digest": result.digest})
    return result


def attempt_location(destination: str, attempt: str, layout: Layout) -> Location:
    """Where one attempt's model goes."""
    place = locate(destination, layout.volumes)
    if isinstance(place, OneFile):
        raise TaskFailed(Reason.INVALID_URI, f"{place.shown}: a model can be published to s3:// and pvc:// only")
    return place.child(attempt)


def _files(output: Path) -> dict[str, Stamp]:
    # It would be followed in this container, to files that are not the training's.
    if output.is_symlink():
        raise TaskFailed(Reason.OUTPUT_INVALID, "the output folder: the training put a link in its place")
    try:
        files = digest.tree(output)
    except (Unsuitable, OSError) as error:
        raise TaskFailed(Reason.OUTPUT_INVALID, f"the output folder: {error}") from error
    if not files:
        raise TaskFailed(Reason.OUTPUT_EMPTY, "the training ended well but wrote no file to $PERENNIAL_OUTPUT_DIR")
    return files


def _result(uri: str, wanted_format: str | None, files: dict[str, Stamp], layout: Layout) -> Result:
    numbers, evaluation = metrics.read(layout.metrics)
    try:
        hashes = {name: digest.of_file(layout.output / name) for name in files}
        found = wanted_format or formats.of_folder(layout.output, files)
    except OSError as error:
        raise TaskFailed(Reason.OUTPUT_INVALID, f"the output cannot be read: {error}") from error
    result = Result(uri=uri, digest=digest.of_lines(hashes), format=found, metrics=numbers, evaluation=evaluation)
    if (size := len(result.to_json().encode())) > MAX_MESSAGE_BYTES:
        raise TaskFailed(
            Reason.METRICS_INVALID,
            f"the metrics file: with the model's address {size} bytes; at most {MAX_MESSAGE_BYTES} can be kept",
        )
    return result


def _upload(result: Result, files: dict[str, Stamp], output: Path, target: Location, until: float) -> None:
    """Everything but the marker; nothing when this very result was published before."""
    if patiently(lambda: _is_there(result, files, target), until, BEAR):
        return
    log.info("uploading", extra={"files": len(files), "bytes": sum(stamp.size for stamp in files.values())})
    many(
        lambda name: patiently(lambda: target.upload(output / name, name), until, BEAR),
        list(files),
        f"uploading to {target.shown}",
    )


def _is_there(result: Result, files: Collection[str], target: Location) -> bool:
    """Whether this very result was published before. What is there of another is removed, its marker first."""
    try:
        if parse_result(target.read(RESULT).decode("utf-8", "replace")) == result:
            return True
        target.remove(RESULT)
    except TaskFailed as failed:
        if failed.reason != Reason.NOT_FOUND:
            raise
    try:
        others = set(target.files()).difference(files)
    except TaskFailed as failed:
        if failed.reason != Reason.NOT_FOUND:
            raise
        others = set()
    for name in others:
        target.remove(name)
    return False
