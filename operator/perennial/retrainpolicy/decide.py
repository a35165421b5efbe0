"""What happens next with a RetrainPolicy: runs get on, triggers are looked at, and causes start runs or are held."""

from collections.abc import Callable, Mapping
from datetime import datetime

from perennial.api.retrainpolicy import RunPhase, TriggerStatus, When
from perennial.api.trigger import Trigger
from perennial.config import Config
from perennial.plan import Event, Plan, news
from perennial.questions import Question
from perennial.retrainpolicy import (
    accelerators,
    conceptdrift,
    data,
    drift,
    fleet,
    metric,
    notices,
    probation,
    request,
    runs,
    schedule,
    status,
)
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.causes import Causes
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.snapshot import Snapshot

# By the field of a trigger: how it is looked at.
LOOKS: Mapping[str, Callable[[Trigger, Sight], Look]] = {
    "conceptDrift": conceptdrift.look,
    "data": data.look,
    "drift": drift.look,
    "metric": metric.look,
    "schedule": schedule.look,
}


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
    rules = config.retraining
    begins = [one for one in book.runs if one.phase is RunPhase.PENDING and snapshot.job_of(one) is None]
    waits = fleet.waits(snapshot.uid, begins, snapshot.fleet, rules, book.now)
    book.waits = {number: wait.message for number, wait in waits.items()}
    accelerators.meter(snapshot, book, config)
    runs.advance(snapshot, spec, book)
    probation.end(snapshot.serving, book)
    asked_anew = request.rebaseline(snapshot)
    if asked_anew:
        book.rebaseline(asked_anew)
    causes = Causes(snapshot, spec, book, rules)
    rows: list[TriggerStatus] = []
    if (asked := request.look(snapshot)) and (row := causes.alone(asked)):
        rows.append(row)
    looks: list[Look] = []
    for trigger in spec.triggers:
        look = _look(trigger, snapshot, book, config, now, rebased=bool(asked_anew))
        looks.append(look)
        for skip in look.missed:
            book.skip(skip)
        if spec.when is When.ANY:
            # One after the other: what a run was started for is dealt with.
            rows.append(causes.alone(look) or look.row)
    if spec.when is When.ALL:
        rows += causes.together(looks)
    wakes = [*causes.wakes, *(wait.until for wait in waits.values()), *(wake for look in looks for wake in look.wakes)]
    wakes += [run.watched_until for run in book.runs if run.watched_until]
    errands = [look.create for look in looks if look.create]
    questions: list[Question] = [question for look in looks for question in look.questions]
    ticks = [tick for trigger in spec.triggers if (tick := _upcoming(trigger, rows, now))]
    told = notices.tell(snapshot, spec, book, now, config)
    wakes += told.wakes
    questions += told.questions
    body = status.build(snapshot, spec, book, rows, min(ticks, default=None), told.said)
    return Plan(
        [*runs.actions(snapshot, spec, book, counted=rules.max_concurrent is not None), *errands],
        body,
        [*book.events, *news((snapshot.body.get("status") or {}).get("conditions") or (), body["conditions"])],
        questions=questions,
        requeue_after=max(0.0, (min(wakes) - now).total_seconds()) if wakes else None,
        status_delay=status.delay(snapshot.body.get("status") or {}, body),
    )


def _look(trigger: Trigger, snapshot: Snapshot, book: Book, config: Config, now: datetime, *, rebased: bool) -> Look:
    new = snapshot.status.observed_generation is None
    before = next((row for row in snapshot.status.triggers if row.name == trigger.name), None)
    if before and rebased:
        before = before.model_copy(update={"baseline": None, "baseline_revision": None})
    sight = Sight(
        before=before,
        runs=book.runs,
        namespace=snapshot.namespace,
        deployment=snapshot.target,
        serving=snapshot.serving,
        series=snapshot.series,
        # The ticks of a trigger that is added later begin with its first look.
        begin=snapshot.created if new else now,
        now=now,
        versions=snapshot.versions,
        answers=snapshot.answers,
        policy=snapshot.name,
        uid=snapshot.uid,
        suspended=bool(snapshot.spec and snapshot.spec.suspend),
        config=config,
        jobs=snapshot.errands,
        refusal=snapshot.refusal,
        request_log=snapshot.request_log,
        pods=snapshot.pods,
        rebaselined=book.rebaseline_time,
    )
    return LOOKS[trigger.option](trigger, sight)


def _upcoming(trigger: Trigger, rows: list[TriggerStatus], now: datetime) -> datetime | None:
    """The next tick of a trigger; one that is held is in the past."""
    row = next(row for row in rows if row.name == trigger.name)
    known = row.next_schedule_time
    if known is None or known > now:
        return known
    return schedule.upcoming(trigger, now)
