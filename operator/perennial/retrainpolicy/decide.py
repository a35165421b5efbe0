"""What happens next with a RetrainPolicy: runs get on, triggers are looked at, and causes start runs or are held."""

from collections.abc import Callable, Mapping
from datetime import datetime

from perennial.api.retrainpolicy import (
    Cause,
    ConcurrencyPolicy,
    RetrainPolicySpec,
    RunPhase,
    Skip,
    TriggerState,
    TriggerStatus,
)
from perennial.api.trigger import Trigger
from perennial.config import Config
from perennial.plan import Event, Plan, news
from perennial.questions import Question
from perennial.retrainpolicy import limits, metric, notices, request, runs, schedule, status
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.limits import Attempt
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.snapshot import Snapshot, job_name

# By the field of a trigger: how it is looked at.
LOOKS: Mapping[str, Callable[[Trigger, Sight], Look]] = {"metric": metric.look, "schedule": schedule.look}


def decide(snapshot: Snapshot, now: datetime, config: Config) -> Plan:
    """The plan for one policy.

    A run is first a row in the status. Its TrainingJob is made in the next pass, out of that row and under its name:
    neither a crash between the two nor a second look makes a second one.
    """
    spec = snapshot.spec
    if spec is None:
        events = [Event("Warning", "InvalidSpec", snapshot.invalid)]
        return Plan(status=status.unreadable(snapshot, now), events=events)
    # Times are kept in whole seconds; what is compared with them is, too.
    book = Book(snapshot.status, now.replace(microsecond=0), spec.notify)
    runs.advance(snapshot, spec, book)
    rows: list[TriggerStatus] = []
    wakes: list[datetime] = []
    questions: list[Question] = []
    asked = request.look(snapshot)
    if asked and (row := _dealt_with(asked, snapshot, spec, book, wakes)):
        rows.append(row)
    for trigger in spec.triggers:
        look = _look(trigger, snapshot, book, now)
        wakes += look.wakes
        questions += look.questions
        for skip in look.missed:
            book.skip(skip)
        rows.append(_dealt_with(look, snapshot, spec, book, wakes) or look.row)
    ticks = [tick for trigger in spec.triggers if (tick := _upcoming(trigger, rows, now))]
    told = notices.tell(snapshot, spec, book, now, config)
    wakes += told.wakes
    questions += told.questions
    body = status.build(snapshot, spec, book, rows, min(ticks, default=None), told.said)
    return Plan(
        runs.actions(snapshot, spec, book),
        body,
        [*book.events, *news((snapshot.body.get("status") or {}).get("conditions") or (), body["conditions"])],
        questions=questions,
        requeue_after=max(0.0, (min(wakes) - now).total_seconds()) if wakes else None,
        status_delay=status.delay(snapshot.body.get("status") or {}, body),
    )


def _look(trigger: Trigger, snapshot: Snapshot, book: Book, now: datetime) -> Look:
    new = snapshot.status.observed_generation is None
    sight = Sight(
        before=next((row for row in snapshot.status.triggers if row.name == trigger.name), None),
        runs=book.runs,
        namespace=snapshot.namespace,
        deployment=snapshot.target,
        serving=snapshot.serving,
        series=snapshot.series,
        # The ticks of a trigger that is added later begin with its first look.
        begin=snapshot.created if new else now,
        now=now,
        answers=snapshot.answers,
    )
    return LOOKS[trigger.option](trigger, sight)


def _dealt_with(
    look: Look, snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, wakes: list[datetime]
) -> TriggerStatus | None:
    """The trigger's row after its cause started a run or was held."""
    if look.cause is None:
        return look.row
    hold = limits.first(Attempt(look.cause, snapshot, spec, book))
    if hold is None:
        _start(look.cause, snapshot, spec, book)
        if look.since:
            book.unskip(look.cause.trigger, look.since)
        words = f"{look.cause.message}; run {book.last_run} deals with it"
        return look.started and look.started.model_copy(update={"message": words})
    book.held[look.row.name] = hold.message
    if hold.until:
        wakes.append(hold.until)
    words = f"{look.cause.message}; no run yet: {hold.message}"
    if look.since:
        book.skip(Skip(time=look.since, trigger=look.cause.trigger, reason=hold.reason, message=words))
    return look.row.model_copy(update={"state": TriggerState.HELD, "message": words})


def _start(cause: Cause, snapshot: Snapshot, spec: RetrainPolicySpec, book: Book) -> None:
    number = snapshot.next_number(book.last_run)
    if spec.dry_run:
        book.start(cause, number, None)
        return
    if spec.concurrency_policy is ConcurrencyPolicy.REPLACE:
        for run in book.under_way:
            book.change(run, RunPhase.REPLACED, f"replaced by run {number}")
    book.start(cause, number, job_name(snapshot.name, number))


def _upcoming(trigger: Trigger, rows: list[TriggerStatus], now: datetime) -> datetime | None:
    """The next tick of a trigger; one that is held is in the past."""
    row = next(row for row in rows if row.name == trigger.name)
    known = row.next_schedule_time
    if known is None or known > now:
        return known
    return schedule.upcoming(trigger, now)
