"""The init container of a training: lays out /perennial, fetches inputs and champion, tries the store of the output."""

import json
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from perennial.agent import digest
from perennial.agent.failure import TaskFailed, Unsuitable
from perennial.agent.layout import MARKERS, Layout
from perennial.agent.publish import attempt_location
from perennial.agent.storage import Location, OnClaim, locate
from perennial.agent.transfer import bring, check, download, empty, patiently
from perennial.api.task import MAX_MESSAGE_BYTES, Artifact, Prepared, PrepareTask, Reason

ANYBODY = 0o777  # the training runs under a uid of the user's choice

log = logging.getLogger(__name__)


def run(task: PrepareTask, attempt: str, layout: Layout) -> Prepared:
    """TaskFailed names the input that is missing, wrong or out of reach."""
    lay_out(task, layout)
    if task.destination is not None:
        _try_destination(task.destination, attempt, layout)
    digests = {item.name: found for item in task.inputs if (found := _input(item, layout)) is not None}
    if task.champion is not None:
        bring(f"the champion {task.champion.name}", task.champion, layout.champion, layout.volumes)
    return _answer(digests, {item.name for item in task.inputs if item.digest})


def lay_out(task: PrepareTask, layout: Layout) -> None:
    """Folders, launcher, FIFO and parameters. May be run again after half of it was done."""
    for folder in (layout.launch.parent, layout.inputs, layout.output, layout.run):
        empty(folder)
    for folder in (layout.output, layout.run):
        folder.chmod(ANYBODY)
    shutil.copyfile(layout.launcher, layout.launch)
    layout.launch.chmod(0o755)
    os.mkfifo(layout.fifo)
    layout.fifo.chmod(0o666)
    layout.parameters.write_text(json.dumps(task.parameters))


def _try_destination(destination: str, attempt: str, layout: Layout) -> None:
    target = attempt_location(destination, attempt, layout)
    note = json.dumps({"attempt": attempt, "startedAt": datetime.now(UTC).isoformat()}).encode()
    try:
        patiently(lambda: target.write(f"{MARKERS}/attempt.json", note))
    except TaskFailed as failed:
        raise TaskFailed(failed.reason, f"the model could not be published after training: {failed}") from failed


def _input(item: Artifact, layout: Layout) -> str | None:
    source = locate(item.uri, layout.volumes)
    what = f"input {item.name}"
    try:
        if isinstance(source, OnClaim):
            found = _on_claim(source, item.digest)
        else:
            found = download(source, layout.inputs / item.name)
    except TaskFailed as failed:
        reason = Reason.INPUT_NOT_FOUND if failed.reason == Reason.NOT_FOUND else failed.reason
        raise TaskFailed(reason, f"{what}: {failed}") from failed
    check(f"{what} ({source.shown})", found or "", item.digest)
    log.info("%s is there", what, extra={"uri": source.shown, "digest": found})
    return found


def _on_claim(source: Location, expected: str | None) -> str | None:
    """The training gets it mounted, not copied. All of it is read only for a digest."""
    source.require()
    if expected is None:
        return None
    try:
        return digest.of_path(Path(source.path))
    except (Unsuitable, OSError) as error:
        raise TaskFailed(Reason.INVALID_URI, f"{source.shown}: {error}") from error


def _answer(digests: dict[str, str], given: set[str]) -> Prepared:
    kept = dict(sorted(digests.items(), key=lambda item: item[0] in given))
    while len((answer := Prepared(inputs=kept)).to_json()) > MAX_MESSAGE_BYTES:
        log.warning("the digest of input %s has no room in the termination message", kept.popitem()[0])
    return answer
