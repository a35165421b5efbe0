"""Looks for requests: each new value of the annotation asks for one run, once, and so does each event of a program."""

import re

from perennial.api.meta import ANNOTATION_REBASELINE, ANNOTATION_RUN_REQUEST
from perennial.api.retrainpolicy import Cause, RunRequest, TriggerState, TriggerStatus, request_id, sha256_of
from perennial.api.trigger import REQUEST
from perennial.retrainpolicy.look import Look
from perennial.retrainpolicy.snapshot import Snapshot

# What of an id stands in the words of a cause. A template may hand those to a shell, and asking for a run must not
# write a line of it.
_HARMLESS = re.compile(r"[A-Za-z0-9_.:+@-]*")


def rebaseline(snapshot: Snapshot) -> str:
    """The request for new baselines that is not yet dealt with; empty where there is none."""
    asked = request_id(snapshot.annotations.get(ANNOTATION_REBASELINE, ""))
    return "" if asked == snapshot.status.last_rebaseline else asked


def look(snapshot: Snapshot) -> Look | None:
    """The request that is not yet dealt with; by hand goes first."""
    asked = request_id(snapshot.annotations.get(ANNOTATION_RUN_REQUEST, ""))
    waiting = [one for one in snapshot.status.requests if one.run is None]
    if asked and asked != snapshot.status.last_request:
        cause = Cause(trigger=REQUEST, type="Request", message=f"asked for by hand ({_shown(asked)})", request=asked)
        return Look(_row(asked), cause)
    return _event(waiting[0], len(waiting) - 1) if waiting else None


def _event(first: RunRequest, others: int) -> Look:
    """One run deals with all that wait when it begins: it finds the same as if it had begun for each of them."""
    words = f"asked for by {_shown(first.by)} ({_shown(first.id)}{f', and {others} more' if others else ''})"
    cause = Cause(trigger=REQUEST, type="Event", message=words, request=first.id)
    return Look(_row(first.id), cause, first.time)


def _row(asked: str) -> TriggerStatus:
    return TriggerStatus(name=REQUEST, state=TriggerState.HELD, rule=asked)


def _shown(text: str) -> str:
    return text if _HARMLESS.fullmatch(text) else sha256_of(text)
