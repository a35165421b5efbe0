"""What follows from looks at triggers: a run is started, or what holds it back is said."""

from collections.abc import Iterator, Sequence
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
from perennial.config import Retraining
from perennial.retrainpolicy import limits, probation
from perennial.retrainpolicy.book import Book, Storm
from perennial.retrainpolicy.limits import Attempt, Hold
from perennial.retrainpolicy.look import Look
from perennial.retrainpolicy.snapshot import Snapshot, job_name


class Causes:
    """Carries what was looked at into the book; `wakes` are the times at which what is held may start."""

    def __init__(self, snapshot: Snapshot, spec: RetrainPolicySpec, book: Book, rules: Retraining) -> None:
        self._snapshot = snapshot
        self._rules = rules
        self._spec = spec
        self._book = book
        self.wakes: list[datetime] = []

    def alone(self, look: Look) -> TriggerStatus | None:
        """The trigger's row after its cause, if it has one, started a run or was held."""
        if look.cause is None:
            return look.row
        hold = self._start(look.cause, look.since)
        return self._held(look, look.cause, hold) if hold else self._started(look, look.cause)

    def together(self, looks: Sequence[Look]) -> list[TriggerStatus]:
        """The same of triggers that only together are a cause."""
        causes = [look.cause for look in looks if look.cause]
        others = [f"{look.row.name} ({look.row.state})" for look in looks if look.cause is None]
        hold = None
        if causes and others:
            hold = Hold("OthersNotYet", f"waits for {', '.join(others)} (spec.when: All)")
        elif causes:
            # What it measured tells more than that it is time.
            told = next((one for one in looks if one.cause and one.cause.type in limits.MEASURED), looks[0])
            cause = (told.cause or causes[0]).model_copy(update={"message": "; ".join(one.message for one in causes)})
            hold = self._start(cause, told.since)
        return list(self._rows(looks, hold))

    def _rows(self, looks: Sequence[Look], hold: Hold | None) -> Iterator[TriggerStatus]:
        for look in looks:
            if look.cause is None:
                yield look.row
            elif hold:
                yield self._held(look, look.cause, hold)
            else:
                yield self._started(look, look.cause) or look.row

    def _held(self, look: Look, cause: Cause, hold: Hold) -> TriggerStatus:
        self._book.held[look.row.name] = hold.message
        words = f"{cause.message}; no run yet: {hold.message}"
        if look.since and hold.notice:
            self._book.storm = Storm(look.since, hold.notice)
        if look.since and hold.recorded:
            self._book.skip(Skip(time=look.since, trigger=cause.trigger, reason=hold.reason, message=words))
        return look.row.model_copy(update={"state": TriggerState.HELD, "message": words})

    def _started(self, look: Look, cause: Cause) -> TriggerStatus | None:
        if look.since:
            self._book.unskip(cause.trigger, look.since)
        words = f"{cause.message}; run {self._book.last_run} deals with it"
        return look.started and look.started.model_copy(update={"message": words})

    def _start(self, cause: Cause, since: datetime | None) -> Hold | None:
        """Start a run, or say what holds it back."""
        book = self._book
        attempt = Attempt(cause, self._snapshot, self._spec, book, since, self._rules)
        run = probation.relapsed(self._snapshot.serving, book, cause)
        if run and not limits.suspended(attempt) and not limits.storm(attempt):
            book.relapse(run, f"{run.model_version} relapsed: {cause.message}")
        if hold := limits.first(attempt):
            if hold.until:
                self.wakes.append(hold.until)
            return hold
        number = self._snapshot.next_number(book.last_run)
        if self._spec.dry_run:
            book.start(cause, number, None)
            return None
        if self._spec.concurrency_policy is ConcurrencyPolicy.REPLACE:
            for run in book.under_way:
                book.change(run, RunPhase.REPLACED, f"replaced by run {number}")
        book.start(cause, number, job_name(self._snapshot.name, number))
        return None
