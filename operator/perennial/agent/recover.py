"""Finds what a training published when the agent's own message was lost."""

import json
from functools import partial

from perennial.agent.failure import TaskFailed
from perennial.agent.layout import RESULT, Layout
from perennial.agent.storage import Location, locate
from perennial.agent.transfer import patiently
from perennial.api.task import Reason, RecoverTask, Result, parse_result


def run(task: RecoverTask, layout: Layout) -> Result:
    """The result published last below the destination. TaskFailed(NotFound): none was."""
    place = locate(task.destination, layout.volumes)
    attempts = patiently(place.names)
    found = [result for attempt in attempts if (result := patiently(partial(_result, place.child(attempt))))]
    if not found:
        raise TaskFailed(Reason.NOT_FOUND, f"{place.shown}: no attempt of this training published its model")
    return max(found, key=lambda pair: pair[0])[1]


def _result(attempt: Location) -> tuple[str, Result] | None:
    try:
        text = attempt.read(RESULT).decode("utf-8", "replace")
    except TaskFailed as failed:
        if failed.reason == Reason.NOT_FOUND:
            return None
        raise
    result = parse_result(text)
    if not isinstance(result, Result):
        return None
    return str(json.loads(text).get("publishedAt")), result  # UTC in one form: sorts as text
