"""Who is told of a policy's runs. What is still to be told is on record with the run, so that no restart loses it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perennial.api.base import format_time
from perennial.api.conditions import Said, find
from perennial.api.resources import RETRAINPOLICIES
from perennial.api.retrainpolicy import Occasion, PendingNotice, RetrainPolicySpec, Run
from perennial.config import Config
from perennial.plan import Event
from perennial.questions import Notice
from perennial.retrainpolicy.book import UNPROMOTED, Book
from perennial.retrainpolicy.look import turn
from perennial.retrainpolicy.snapshot import Snapshot

CONDITION = "Notified"
# Between two tries, and until nobody wants to know any more.
_EVERY = timedelta(minutes=1)
_GIVEN_UP = timedelta(days=1)
_MOST = 256

_WORDS = {
    Occasion.STARTED: "has started",
    Occasion.AWAITING_APPROVAL: "awaits approval",
    Occasion.PROMOTED: "is promoted",
    Occasion.REJECTED: "is rejected",
    Occasion.ROLLED_BACK: "is rolled back",
    Occasion.SUPERSEDED: "is superseded",
    Occasion.FAILED: "failed",
    Occasion.REPLACED: "is replaced",
}
_BAD = {phase.value for phase in UNPROMOTED}


@dataclass(frozen=True, slots=True)
class Told:
    """What follows for the plan. `said`: what stands in the way of telling."""

    questions: Sequence[Notice] = ()
    wakes: Sequence[datetime] = ()
    said: Said | None = None


def tell(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, now: datetime, config: Config) -> Told:
    """Ask for what is on record to be told, and take off what has been."""
    unknown = [one.receiver for one in spec.notify if one.receiver not in config.receivers]
    at = turn(snapshot.uid, now, _EVERY)
    questions: list[Notice] = []
    errors: dict[str, str] = {}
    waits = False
    for run, notice in _on_record(snapshot, book):
        if notice.receiver not in {one.receiver for one in spec.notify}:
            _off(book, run, notice)
            continue
        if now - notice.time > _GIVEN_UP:
            _off(book, run, notice)
            words = (
                f"receiver {notice.receiver} was not told that run {run.number} {_WORDS[notice.event]}: not for a day"
            )
            book.events.append(Event("Warning", "NoticeDropped", words))
            continue
        if notice.receiver in unknown:
            continue
        question = _question(snapshot, run, notice, at)
        answer = snapshot.answers.get(question)
        if answer is not None and not answer.error:
            _off(book, run, notice)
            continue
        questions.append(question)
        if answer is None:
            waits = True
        else:
            errors[notice.receiver] = answer.error
    for question in _of_storm(snapshot, book, config, at):
        answer = snapshot.answers.get(question)
        questions.append(question)
        if answer is not None and answer.error:
            errors[question.receiver] = answer.error
    wakes = [at + _EVERY] if questions else []
    return Told(questions, wakes, _said(snapshot, unknown, errors, config, waits=waits))


def _on_record(snapshot: Snapshot, book: Book) -> list[tuple[Run, PendingNotice]]:
    """What was to be told before this decision: the rest is told when it is on record."""
    before = {
        (run.number, notice.receiver, notice.event) for run in snapshot.status.runs for notice in run.pending_notices
    }
    every = [(run, notice) for run in reversed(book.runs) for notice in run.pending_notices]
    return [(run, one) for run, one in every if (run.number, one.receiver, one.event) in before]


def _off(book: Book, run: Run, notice: PendingNotice) -> None:
    book.told(next(one for one in book.runs if one.number == run.number), notice)


def _question(snapshot: Snapshot, run: Run, notice: PendingNotice, at: datetime) -> Notice:
    why = run.cause.message if notice.event is Occasion.STARTED else run.message
    words = f"run {run.number} of {snapshot.namespace}/{snapshot.name} {_WORDS[notice.event]}"
    details = {
        "policy": snapshot.name,
        "namespace": snapshot.namespace,
        "deployment": snapshot.target,
        "run": str(run.number),
        "trigger": run.cause.trigger,
        "cause": run.cause.message,
        "trainingJob": run.training_job or "",
        "modelVersion": "" if notice.event is Occasion.STARTED else run.model_version or "",
    }
    return Notice(
        at=at,
        receiver=notice.receiver,
        id=f"{snapshot.uid}/{run.number}/{notice.event}",
        kind=RETRAINPOLICIES.kind,
        namespace=snapshot.namespace,
        name=snapshot.name,
        reason=f"Run{notice.event}",
        severity="warning" if notice.event in _BAD else "info",
        resolves=notice.event is Occasion.PROMOTED,
        time=notice.time,
        summary=f"{words}: {why}" if why else words,
        details=tuple((name, value) for name, value in details.items() if value),
    )


def _of_storm(snapshot: Snapshot, book: Book, config: Config, at: datetime) -> list[Notice]:
    """That many policies have the same trouble; told by one of them, for as long as that is so."""
    rule = config.retraining.storm
    if rule is None or book.storm is None:
        return []
    told = Notice(
        at=at,
        receiver="",
        id=f"{snapshot.uid}/storm/{format_time(book.storm.since)}",
        kind=RETRAINPOLICIES.kind,
        namespace=snapshot.namespace,
        name=snapshot.name,
        reason="RetrainStorm",
        severity="warning",
        resolves=False,
        time=book.storm.since,
        summary=book.storm.words,
        details=(("namespace", snapshot.namespace), ("policy", snapshot.name)),
    )
    return [replace(told, receiver=receiver) for receiver in rule.receivers]


def _said(
    snapshot: Snapshot, unknown: Sequence[str], errors: dict[str, str], config: Config, *, waits: bool
) -> Said | None:
    if unknown:
        known = ", ".join(sorted(config.receivers)) or "none"
        words = f"spec.notify: there is no receiver {unknown[0]!r} in the operator's configuration: {known}"
        return Said(CONDITION, False, "ReceiverUnknown", words)
    if errors:
        words = "; ".join(f"receiver {name}: {why[:_MOST]}" for name, why in sorted(errors.items()))
        return Said(CONDITION, False, "ReceiverUnavailable", words)
    before = find((snapshot.body.get("status") or {}).get("conditions"), CONDITION)
    if waits and before and before["status"] == "False":
        # Until the next try is answered.
        return Said(CONDITION, False, before["reason"], before["message"])
    return None
