"""Looks for a request by hand: each new value of the annotation asks for one run, once."""

import hashlib
import re

from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.retrainpolicy import Cause, TriggerState, TriggerStatus
from perennial.api.trigger import REQUEST
from perennial.retrainpolicy.look import Look
from perennial.retrainpolicy.snapshot import Snapshot

_MAX_ID = 128
# What of an id stands in the words of a cause. A template may hand those to a shell, and asking for a run must not
# write a line of it.
_HARMLESS = re.compile(r"[A-Za-z0-9_.:+-]*")


def look(snapshot: Snapshot) -> Look | None:
    """The request that is not yet dealt with."""
    asked = request_id(snapshot.annotations.get(ANNOTATION_RUN_REQUEST, ""))
    if not asked or asked == snapshot.status.last_request:
        return None
    shown = asked if _HARMLESS.fullmatch(asked) else _hash(asked)
    cause = Cause(trigger=REQUEST, type="Request", message=f"asked for by hand ({shown})", request=asked)
    row = TriggerStatus(name=REQUEST, state=TriggerState.HELD, rule=asked)
    return Look(row, cause)


def request_id(value: str) -> str:
    """What is remembered of an annotation's value: itself, or its hash when it is long."""
    if len(value) <= _MAX_ID:
        return value
    return _hash(value)


def _hash(value: str) -> str:
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()
