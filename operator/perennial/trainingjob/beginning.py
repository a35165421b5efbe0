"""How a run begins, and whether it may: the Job is made, refused, held or suspended."""

from datetime import datetime

from perennial.api.trainingjob import Outcome, Phase
from perennial.config import Config
from perennial.plan import Action, Create, Event, Plan
from perennial.trainingjob import children
from perennial.trainingjob.job import patch_job, until_deadline
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.spec import InvalidSpec, spec_hash
from perennial.trainingjob.status import build


def unreadable(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """A spec that the schema let through (of another version, say) but that cannot be understood."""
    if snapshot.spec is not None:
        return None
    return Plan(status=build(snapshot, now, Phase.PENDING, "InvalidSpec", snapshot.invalid, stalled=True))


def held(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Suspended before it began: no Job is made, and everything may still be edited."""
    assert snapshot.spec
    if not snapshot.spec.suspend or snapshot.job is not None:
        return None
    return Plan(status=build(snapshot, now, Phase.SUSPENDED, "Suspended", "spec.suspend is true"))


def refused(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The API server refuses a child: shown in its own words, and tried again by the engine."""
    refusal = snapshot.refusal
    if refusal is None or snapshot.job is not None:
        return None
    actions, invalid = creation(snapshot, config, _number(snapshot))
    if invalid:
        return None
    status = build(snapshot, now, Phase.PENDING, refusal.reason, refusal.message, stalled=True)
    event = Event("Warning", refusal.reason, refusal.message)
    return Plan(actions, status, [event], requeue_after=until_deadline(snapshot, now))


def create(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job is made before any status is written: its name is fixed, so that it is made once."""
    if snapshot.job is not None:
        return None
    actions, invalid = creation(snapshot, config, _number(snapshot))
    if invalid:
        status = build(snapshot, now, Phase.PENDING, "InvalidSpec", invalid, stalled=True)
        return Plan(status=status, events=[Event("Warning", "InvalidSpec", invalid)])
    return Plan(actions)


def suspend(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """spec.suspend stops the pods; a training that has ended is first published."""
    assert snapshot.spec
    assert snapshot.job
    wanted, pod = snapshot.spec.suspend, snapshot.pod
    if wanted and snapshot.trained and pod is not None and pod.outcome is Outcome.ACTIVE and not pod.deleting:
        return None
    actions = []
    if bool(snapshot.job["spec"].get("suspend")) != wanted:
        actions.append(patch_job(snapshot.job, {"suspend": wanted}))
    if not wanted:
        return Plan(actions) if actions else None
    words = "spec.suspend is true; its pods are stopped, and it starts again from the beginning when it is lifted"
    status = build(snapshot, now, Phase.SUSPENDED, "Suspended", words)
    return Plan(actions, status, [Event("Normal", "Suspended", words)])


def _number(snapshot: Snapshot) -> int:
    """The attempt that is to be made when no Job is there: the first, or one whose Job was deleted."""
    rows = snapshot.status.attempts
    over = bool(rows) and rows[-1].outcome is not Outcome.ACTIVE
    return max(1, len(rows) + over) if snapshot.spec and snapshot.spec.by_attempt else 1


def creation(snapshot: Snapshot, config: Config, attempt: int) -> tuple[list[Action], str]:
    """The actions that make the Job of an attempt, or what is wrong with the spec."""
    assert snapshot.spec
    before = snapshot.status.spec_hash
    if before and before != spec_hash(snapshot.body):
        return [], (
            "spec was edited after the Job was made, and the Job is gone: undo the edit, or apply a TrainingJob of "
            "another name"
        )
    try:
        job = children.job(snapshot, snapshot.spec, config, attempt)
    except InvalidSpec as error:
        return [], str(error)
    actions: list[Action] = []
    if snapshot.spec.output.uri is None and config.defaults.output is None and snapshot.claim is None:
        actions.append(Create(children.claim(snapshot.namespace, config), shared=True))
    if snapshot.distribution and snapshot.service is None:
        actions.append(Create(children.service(snapshot)))
    return [*actions, Create(job, strict=True)], ""
