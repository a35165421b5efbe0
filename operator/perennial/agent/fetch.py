"""The init container of a serving pod: brings a model's files, and lets no other model's through."""

import logging
from pathlib import Path

from perennial.agent.layout import Layout
from perennial.agent.storage import shown
from perennial.agent.transfer import bring
from perennial.api.task import FetchTask

log = logging.getLogger(__name__)


def run(task: FetchTask, layout: Layout) -> None:
    """TaskFailed: NotFound, DigestMismatch, or what the store says."""
    what = f"the model {task.model.name}".rstrip()
    found = bring(what, task.model, Path(task.target), layout.volumes)
    log.info("%s is there", what, extra={"uri": shown(task.model.uri), "digest": found})
