"""The status of a RetrainPolicy, its conditions, and which changes of it can wait."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from perennial.api.base import format_time, parse_duration
from perennial.api.conditions import Said, merge
from perennial.api.retrainpolicy import RetrainPolicySpec, RetrainPolicyStatus, RunPhase, TriggerState, TriggerStatus
from perennial.plan import Body
from perennial.retrainpolicy import accelerators
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.limits import Hold, stalled_by_runs, trouble
from perennial.retrainpolicy.snapshot import Snapshot

# A value that moves within its limit is news of little worth: one write in so many seconds.
VALUES_DELAY = 10.0


def build(
    snapshot: Snapshot,
    spec: RetrainPolicySpec,
    book: Book,
    triggers: Iterable[TriggerStatus],
    next_schedule_time: datetime | None,
    untold: Said | None = None,
) -> Body:
    """The whole status as it should stand. `untold`: what stands in the way of telling people."""
    rows = list(triggers)
    status = RetrainPolicyStatus(
        observed_generation=snapshot.body["metadata"]["generation"],
        last_run=book.last_run,
        active=len(book.under_way),
        unpromoted=book.unpromoted,
        last_request=book.last_request,
        last_rebaseline=book.last_rebaseline,
        rebaseline_time=book.rebaseline_time,
        requests=book.requests,
        next_schedule_time=next_schedule_time,
        triggers=rows,
        runs=book.runs,
        past_accelerator_use=accelerators.kept(book.past_accelerator_use, spec.budget, book.now),
        skipped=book.skipped,
    )
    said = _conditions(snapshot, spec, book, rows)
    return _with_conditions(snapshot, status.body(), [*said, untold] if untold else said, book.now)


def unreadable(snapshot: Snapshot, now: datetime) -> Body:
    """The status of a policy whose spec the schema let through (of another version, say) but that says nothing."""
    status = dict(snapshot.body.get("status") or {})
    status["observedGeneration"] = snapshot.body["metadata"]["generation"]
    return _with_conditions(snapshot, status, _stalled("InvalidSpec", snapshot.invalid), now)


def delay(before: Body, status: Body) -> float:
    """Seconds that a status may wait: more than none where only values moved."""
    return VALUES_DELAY if _essence(before) == _essence(status) else 0.0


def _essence(status: Body) -> Body:
    triggers = [
        {key: value for key, value in row.items() if key not in ("value", "samples", "message")}
        for row in status.get("triggers") or ()
    ]
    return {**status, "triggers": triggers}


def _with_conditions(snapshot: Snapshot, status: Body, said: Iterable[Said], now: datetime) -> Body:
    before = (snapshot.body.get("status") or {}).get("conditions") or ()
    return {**status, "conditions": merge(before, said, now, snapshot.body["metadata"]["generation"])}


def _conditions(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, rows: list[TriggerStatus]) -> list[Said]:
    hold = trouble(snapshot, spec, book) or _invalid(rows) or stalled_by_runs(snapshot, spec, book) or _held_up(book)
    if hold:
        return _stalled(hold.reason, hold.message)
    pending = next((run for run in book.runs if run.phase is RunPhase.PENDING and run.message), None)
    if snapshot.refusal and pending:
        words = f"run {pending.number}: {pending.message}"
        return [Said("Ready", False, snapshot.refusal.reason, words), Said("Reconciling", True, "RunPending", words)]
    if spec.suspend:
        return [Said("Ready", True, "Suspended", "spec.suspend is true: no run is started")]
    if book.under_way:
        words = "; ".join(
            f"run {run.number} is {run.phase}: {run.message or f'TrainingJob {run.training_job}'}"
            for run in book.under_way
        )
        return [Said("Ready", True, "RunUnderWay", words)]
    if away := [f"{row.name}: {row.message}" for row in rows if row.state is TriggerState.UNAVAILABLE]:
        words = "; ".join(away)
        return [Said("Ready", False, "SourceUnavailable", words), Said("Reconciling", True, "SourceUnavailable", words)]
    if spec.dry_run:
        words = "; ".join(["spec.dryRun is true: runs are recorded, no TrainingJob is made", *_seen(spec, rows)])
        return [Said("Ready", True, "DryRun", words)]
    if book.held:
        words = "; ".join(f"{name}: no run yet: {why}" for name, why in book.held.items())
        return [Said("Ready", True, "Held", words)]
    words = "; ".join(_seen(spec, rows)) or "no triggers: runs are started by hand"
    return [Said("Ready", True, "Watching", words)]


def _seen(spec: RetrainPolicySpec, rows: Iterable[TriggerStatus]) -> Iterator[str]:
    """What each trigger is at, without the values that it goes by: they move all the time."""
    metrics = {one.name: one.metric for one in spec.triggers if one.metric}
    for row in rows:
        metric = metrics.get(row.name)
        enough = parse_duration(metric.for_) if metric else timedelta()
        asked = metric is not None and metric.source.reported is None
        yield f"{row.name} {_stands(row, enough, asked=asked)}"


def _stands(row: TriggerStatus, enough: timedelta, *, asked: bool) -> str:
    match row.state:
        case TriggerState.WAITING:
            if row.samples is None or row.value is not None:
                return row.message
            if asked:
                return f"waits for more: {row.message}"
            return "waits for more samples" if row.samples else "has no samples: kubectl perennial report sends one"
        case TriggerState.OK:
            if row.concept_drift and row.concept_drift.changes:
                return "has changed, which is no cause"
            return "has not changed" if row.data or row.concept_drift else "is within its limit"
        case TriggerState.CROSSED if row.crossed_since:
            due = format_time(row.crossed_since + enough)
            return f"is beyond its limit, and a run starts at {due} if it stays so"
        case TriggerState.FIRING:
            return "has set off a run"
        case TriggerState.SCHEDULED if row.next_schedule_time:
            return f"comes at {format_time(row.next_schedule_time)}"
        case TriggerState.SCHEDULED:
            return "never comes"
    return f"is {row.state}"


def _invalid(rows: Iterable[TriggerStatus]) -> Hold | None:
    invalid = [f"spec.triggers[{row.name}].{row.message}" for row in rows if row.state is TriggerState.INVALID]
    return Hold("InvalidTrigger", "; ".join(invalid)) if invalid else None


def _held_up(book: Book) -> Hold | None:
    """A training that only a person can bring on holds up every run after it."""
    held = (run for run in book.under_way if run.phase is RunPhase.TRAINING and run.message)
    words = "; ".join(f"run {run.number}: {run.message}" for run in held)
    return Hold("TrainingHeldUp", f"{words}. Mend the TrainingJob, or delete it to end the run") if words else None


def _stalled(reason: str, message: str) -> list[Said]:
    return [Said("Ready", False, reason, message), Said("Stalled", True, reason, message)]
