"""Looks for a request by hand: each new value of the annotation asks for one run, once."""

import hashlib

from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.retrainpolicy import REQUEST, Cause, TriggerState, TriggerStatus
from perennial.retrainpolicy.look import Look
from perennial.retrainpolicy.snapshot import Snapshot

_MAX_ID = 128


def look(snapshot: Snapshot) -> Look | None:
    """The request that is not yet dealt with."""
    asked = request_id(snapshot.annotations.get(ANNOTATION_RUN_REQUEST, ""))
    if not asked or asked == snapshot.status.last_request:
        return None
    cause = Cause(trigger=REQUEST, type="Request", message=f"asked for by hand ({asked})", request=asked)
    row = TriggerStatus(name=REQUEST, state=TriggerState.HELD, rule=asked)
    return Look(row, cause)


def request_id(value: str) -> str:
    """What is remembered of an annotation's value: itself, or its hash when it is long."""
    if len(value) <= _MAX_ID:
        return value
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()
