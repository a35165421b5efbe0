"""Looks at a data trigger: has what lies at a URI changed since a run was last started for it?"""

from dataclasses import replace

from perennial.api.base import format_time, parse_duration
from perennial.api.retrainpolicy import Cause, DataSeen, TriggerState, TriggerStatus
from perennial.api.task import Looked, LookTask, parse_looked, size_of
from perennial.api.trigger import DataTrigger, Trigger
from perennial.jobs import agent_job
from perennial.plan import Body
from perennial.pods import agent_container, claim_mounts, claim_of
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.visit import beside, follow, labels, told, visit

_CONTAINER = "look"
_LIMITS: Body = {"backoffLimit": 2, "activeDeadlineSeconds": 900, "ttlSecondsAfterFinished": 600}


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a data trigger."""
    data = trigger.data
    assert data
    rule = describe(data)
    before = sight.before if sight.before and sight.before.rule == rule else None
    known, seen = (before.known_data, before.data) if before else (None, None)

    def make(name: str) -> Body:
        return _job(data, sight, name)

    went = visit(sight, trigger.name, rule, data.told(), parse_duration(data.every), _CONTAINER, make)
    answer = told(went, _CONTAINER, parse_looked)
    if isinstance(answer, Looked):
        seen = DataSeen(
            time=sight.now.replace(microsecond=0),
            objects=answer.objects,
            bytes=answer.bytes,
            digest=answer.digest,
            revision=answer.revision or None,
        )
        known = known or seen
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule)

    def judge(row: TriggerStatus) -> Look:
        return _found(trigger, data, row, before)

    shown = {"data": seen, "known_data": known, "last_look_time": seen.time if seen else None}
    return follow(replace(sight, before=before), row, went, answer, shown, f"{data.uri} cannot be looked at", judge)


def _found(trigger: Trigger, data: DataTrigger, row: TriggerStatus, before: TriggerStatus | None) -> Look:
    """What follows from a look."""
    seen, known = row.data, row.known_data
    assert seen
    assert known
    words = _words(data, seen, known)
    if not _changed(data, seen, known):
        return Look(row.model_copy(update={"state": TriggerState.OK, "message": words}))
    since = before.crossed_since if before and before.crossed_since else seen.time
    row = row.model_copy(update={"state": TriggerState.CROSSED, "message": words, "crossed_since": since})
    cause = Cause(trigger=trigger.name, type="Data", message=words, data=seen)
    started = row.model_copy(update={"state": TriggerState.FIRING, "known_data": seen, "crossed_since": None})
    return Look(row, cause, since, started=started)


def describe(data: DataTrigger) -> str:
    """The rule in words; another text is another rule."""
    more = [f"{data.min_new_objects} objects"] if data.min_new_objects else []
    more += [data.min_new_bytes] if data.min_new_bytes else []
    return f"{data.uri}, every {data.every}" + (f", {' or '.join(more)} more" if more else "")


def _changed(data: DataTrigger, seen: DataSeen, known: DataSeen) -> bool:
    objects, size = seen.objects - known.objects, seen.bytes - known.bytes
    if data.min_new_objects is None and data.min_new_bytes is None:
        return seen.digest != known.digest
    enough = data.min_new_objects is not None and objects >= data.min_new_objects
    return enough or (data.min_new_bytes is not None and size >= size_of(data.min_new_bytes))


def _words(data: DataTrigger, seen: DataSeen, known: DataSeen) -> str:
    if seen.revision:
        moved = "is at" if seen.revision == known.revision else f"moved from {(known.revision or '')[:12]} to"
        return f"{data.uri} {moved} {seen.revision[:12]}"
    here = f"{data.uri} has {seen.objects} objects of {seen.bytes} bytes"
    if seen.digest == known.digest:
        return f"{here}, as at {format_time(known.time)}"
    return f"{here}: {seen.objects - known.objects:+d} objects and {seen.bytes - known.bytes:+d} bytes since " + (
        format_time(known.time)
    )


def _job(data: DataTrigger, sight: Sight, name: str) -> Body:
    claims = [claim] if (claim := claim_of(data.uri)) else []
    container = agent_container(
        _CONTAINER,
        "look",
        LookTask(uri=data.uri),
        sight.config,
        storage=data.storage.secret_name if data.storage else None,
        mounts=claim_mounts(claims, read_only=True),
    )
    return agent_job(beside(sight, name), labels(sight), container, claims, _LIMITS)
