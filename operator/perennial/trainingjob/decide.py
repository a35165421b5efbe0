"""What happens next with a TrainingJob: the first rule that has something to say says it."""

from collections.abc import Callable
from datetime import datetime

from perennial.config import Config
from perennial.plan import Plan
from perennial.trainingjob import beginning, ending, restarts, running
from perennial.trainingjob.snapshot import Snapshot

Rule = Callable[[Snapshot, datetime, Config], Plan | None]


def decide(snapshot: Snapshot, now: datetime, config: Config) -> Plan:
    """The plan for one TrainingJob."""
    for rule in RULES:
        plan = rule(snapshot, now, config)
        if plan is not None:
            return plan
    return Plan()


def being_deleted(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Children go by their owner references."""
    return Plan() if "deletionTimestamp" in snapshot.body["metadata"] else None


RULES: tuple[Rule, ...] = (
    being_deleted,
    ending.finished,
    ending.versioned,
    ending.published,
    beginning.unreadable,
    beginning.held,
    ending.pending_too_long,
    beginning.refused,
    beginning.create,
    ending.untold,
    restarts.failed,
    ending.job_failed,
    ending.job_complete,
    ending.disrupted_too_often,
    ending.running_too_long,
    ending.stuck,
    beginning.suspend,
    restarts.unnamed,
    running.progress,
)
