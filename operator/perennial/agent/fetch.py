"""The init container of a serving pod: brings a model's files, and lets no other model's through."""

import logging
from pathlib import Path

from perennial.agent.layout import Layout
from perennial.agent.nearby import Cache
from perennial.agent.storage import shown
from perennial.agent.transfer import bring
from perennial.api.task import FetchTask

log = logging.getLogger(__name__)


def run(task: FetchTask, layout: Layout) -> None:
    """TaskFailed: NotFound, DigestMismatch, or what the store says."""
    what, target = f"the model {task.model.name}".rstrip(), Path(task.target)
    cache = Cache(task.cache) if task.cache else None
    if cache and task.model.digest and cache.fetch(task.model.digest, target):
        return
    found = bring(what, task.model, target, layout.volumes)
    log.info("%s is there", what, extra={"uri": shown(task.model.uri), "digest": found})
    if cache:
        cache.offer(found, target)
