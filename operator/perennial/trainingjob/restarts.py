"""Runs whose every attempt is a Job of its own: what follows one that failed, and when the next begins.

Kubernetes' Jobs start their pods again one by one, and choose by exit codes only; the nodes of a run stand and fall
together (as in JobSet, KEP-262), and a person may choose by reason and message. A Job shows as failed when all of its
pods have ended (KEP-3939): no two attempts are alive at once.
"""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from perennial.api.trainingjob import Attempt, Failure, FailureAction, FailureRule, Outcome, Phase
from perennial.config import Config
from perennial.jobs import job_condition
from perennial.plan import Create, Event, Plan
from perennial.trainingjob import children, gang
from perennial.trainingjob.beginning import creation
from perennial.trainingjob.ending import MAX_DISRUPTIONS, fail, see
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.status import build, tried

# As Kubernetes waits before it starts a pod of a Job again.
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=10), timedelta(minutes=6)


def unnamed(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The nodes find each other by the names of a Service: somebody has deleted it."""
    if not snapshot.distribution or snapshot.job is None or snapshot.service is not None:
        return None
    if job_condition(snapshot.job, "Complete", "Failed"):
        return None
    return Plan([Create(children.service(snapshot))])


def failed(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """What follows a failed attempt is written first, and then done."""
    assert snapshot.spec
    if not snapshot.spec.by_attempt or job_condition(snapshot.job, "Failed") is None:
        return None
    rows = tried(snapshot)
    written = snapshot.status.attempts[snapshot.attempt - 1 : snapshot.attempt]
    if written and written[0].outcome in (Outcome.FAILED, Outcome.DISRUPTED):
        return _again(snapshot, now, config, rows)
    failure = _failure(snapshot, now)
    action = judged(snapshot.spec.failure_rules, failure)
    outcome = Outcome.DISRUPTED if action is FailureAction.RESTART_UNCOUNTED else Outcome.FAILED
    before, shown = rows[: snapshot.attempt - 1], rows[snapshot.attempt - 1 :]
    # Of a Job whose pods were refused, or deleted before anybody saw them, there is only its own name.
    pod = failure.pod or (shown[0].pod if shown else gang.job_name(snapshot.name, snapshot.attempt))
    rows = [*before, Attempt(pod=pod, outcome=outcome, reason=failure.reason)]
    over = _over(snapshot, action, rows)
    if over is not None:
        failure = failure.model_copy(update={"message": failure.message + over})
        return fail(snapshot, now, failure, see(snapshot.job), attempts=rows)
    counted = "" if outcome is Outcome.FAILED else ", and is not counted"
    wait = _delay(rows).seconds
    words = f"attempt {snapshot.attempt} failed{counted}: {failure.message}; the next begins in {wait} s"
    status = build(snapshot, now, Phase.PENDING, "Restarting", words, failure=failure, attempts=rows)
    return Plan(status=status, events=[Event("Warning", failure.reason, words)])


def judged(rules: list[FailureRule], failure: Failure) -> FailureAction:
    """What follows a failure: what the first rule that fits says."""
    for rule in rules:
        fits = (
            rule.exit_codes is None or failure.exit_code in rule.exit_codes,
            rule.reasons is None or failure.reason in rule.reasons,
            rule.message is None or fnmatchcase(failure.message, rule.message),
        )
        if all(fits):
            return rule.action
    return FailureAction.RESTART_UNCOUNTED if failure.reason == "Disrupted" else FailureAction.RESTART


def _failure(snapshot: Snapshot, now: datetime) -> Failure:
    pod = snapshot.failed
    if pod is not None:
        return pod.failure().model_copy(update={"time": now})
    known, before = snapshot.status.failure, snapshot.status.attempts[: snapshot.attempt - 1]
    if known and known.pod not in {row.pod for row in before}:
        return known.model_copy(update={"time": now})
    return Failure(reason="PodGone", message="a pod of the run was deleted", time=now)


def _over(snapshot: Snapshot, action: FailureAction, rows: list[Attempt]) -> str | None:
    """Why there is no other attempt, to be said after the failure; None when there is one."""
    assert snapshot.spec
    limit = snapshot.spec.backoff_limit
    if action is FailureAction.FAIL_JOB:
        return " (a rule of spec.failureRules says FailJob)"
    if action is FailureAction.RESTART and _count(rows, Outcome.FAILED) > limit:
        return f" (spec.backoffLimit of {limit} is used up)" if limit else ""
    if _count(rows, Outcome.DISRUPTED) > MAX_DISRUPTIONS:
        return f" ({MAX_DISRUPTIONS} attempts that are not counted are used up)"
    return None


def _again(snapshot: Snapshot, now: datetime, config: Config, rows: list[Attempt]) -> Plan:
    assert snapshot.spec
    if snapshot.spec.suspend:
        words = "spec.suspend is true; the next attempt begins when it is lifted"
        return Plan(status=build(snapshot, now, Phase.SUSPENDED, "Suspended", words))
    failure = snapshot.status.failure
    since = failure.time if failure and failure.time else now
    left = (since + _delay(rows) - now).total_seconds()
    if left > 0:
        return Plan(requeue_after=left)
    actions, invalid = creation(snapshot, config, snapshot.attempt + 1)
    if invalid:
        return Plan(status=build(snapshot, now, Phase.PENDING, "InvalidSpec", invalid, stalled=True))
    return Plan(actions)


def _delay(rows: list[Attempt]) -> timedelta:
    """What was lost to the infrastructure is tried again at once."""
    if rows[-1].outcome is Outcome.DISRUPTED:
        return timedelta()
    doublings = min(_count(rows, Outcome.FAILED) - 1, 16)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def _count(rows: list[Attempt], outcome: Outcome) -> int:
    return sum(row.outcome is outcome for row in rows)
