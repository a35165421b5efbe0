"""The init container of a serving pod: brings a model's files, and lets no other model's through."""

import logging
from pathlib import Path

from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.storage import locate
from perennial.agent.transfer import check, download_model
from perennial.api.task import FetchTask

log = logging.getLogger(__name__)


def run(task: FetchTask, layout: Layout) -> None:
    """TaskFailed: NotFound, DigestMismatch, or what the store says."""
    source = locate(task.model.uri, layout.volumes)
    what = f"the model {task.model.name}".rstrip()
    try:
        found = download_model(source, Path(task.target))
    except TaskFailed as failed:
        raise TaskFailed(failed.reason, f"{what}: {failed}") from failed
    check(f"{what} ({source.shown})", found, task.model.digest)
    log.info("%s is there", what, extra={"uri": source.shown, "digest": found})
