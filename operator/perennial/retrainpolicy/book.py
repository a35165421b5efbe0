"""The runs of a policy, the causes that started nothing, and the counters, as they change during one decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from perennial.api.retrainpolicy import (
    MAX_RUNS,
    MAX_SKIPPED,
    AcceleratorUse,
    Cause,
    Notification,
    Occasion,
    PendingNotice,
    RetrainPolicyStatus,
    Run,
    RunPhase,
    Skip,
)
from perennial.plan import Event

UNDER_WAY = (RunPhase.PENDING, RunPhase.TRAINING, RunPhase.DECIDING, RunPhase.AWAITING_APPROVAL, RunPhase.ROLLING_OUT)
UNPROMOTED = (RunPhase.FAILED, RunPhase.REJECTED, RunPhase.ROLLED_BACK)
_MAX_MESSAGE = 1024
_MOST = 1_000_000

_TOLD: dict[RunPhase, tuple[Literal["Normal", "Warning"], str]] = {
    RunPhase.AWAITING_APPROVAL: ("Normal", "RunAwaitsApproval"),
    RunPhase.PROMOTED: ("Normal", "RunPromoted"),
    RunPhase.REJECTED: ("Warning", "RunRejected"),
    RunPhase.ROLLED_BACK: ("Warning", "RunRolledBack"),
    RunPhase.FAILED: ("Warning", "RunFailed"),
    RunPhase.SUPERSEDED: ("Normal", "RunSuperseded"),
    RunPhase.REPLACED: ("Normal", "RunReplaced"),
}


@dataclass(frozen=True, slots=True)
class Storm:
    """Trouble that many policies have: since when this one has it, and what is told of it."""

    since: datetime
    words: str


class Book:
    """Begins with what the status says. Runs and skips are newest first; every change says its Event."""

    def __init__(self, status: RetrainPolicyStatus, now: datetime, notify: Sequence[Notification] = ()) -> None:
        self.now = now
        self._notify = notify
        self.runs = list(status.runs)
        self.past_accelerator_use = list(status.past_accelerator_use)
        self.skipped = list(status.skipped)
        self.last_run = status.last_run
        self.unpromoted = status.unpromoted
        self.last_request = status.last_request
        self.last_rebaseline = status.last_rebaseline
        self.rebaseline_time = status.rebaseline_time
        self.requests = list(status.requests)
        self.events: list[Event] = []
        # What holds the cause of a trigger, by its name, and what a run waits for before it begins, by its number.
        self.held: dict[str, str] = {}
        self.waits: dict[int, str] = {}
        # How many accelerators the next training asks for, where that is known.
        self.accelerators: int | None = None
        # That many policies have the same trouble, if it is this one that tells of it.
        self.storm: Storm | None = None

    def rebaseline(self, asked: str) -> None:
        """From now on limits are relative to what the served revision shows from now on."""
        self.last_rebaseline, self.rebaseline_time = asked, self.now
        self.events.append(Event("Normal", "Rebaselined", "baselines of what the served revision shows begin anew"))

    @property
    def under_way(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for run in self.runs if run.phase in UNDER_WAY]

    @property
    def accelerator_use(self) -> list[AcceleratorUse]:
        """What all runs used of accelerators, those that are not remembered among them."""
        return [*self.past_accelerator_use, *(run.accelerator_use for run in self.runs if run.accelerator_use)]

    def start(self, cause: Cause, number: int, job: str | None) -> None:
        """A new run with its TrainingJob's name; without one it is a dry run, and over."""
        words = f"run {number}: {cause.message}"
        if job:
            run = Run(
                number=number,
                cause=cause,
                phase=RunPhase.PENDING,
                training_job=job,
                start_time=self.now,
                pending_notices=self._notices(Occasion.STARTED),
            )
            self.events.append(Event("Normal", "RunStarted", words))
        else:
            run = Run(
                number=number,
                cause=cause,
                phase=RunPhase.DRY_RUN,
                message="spec.dryRun is true: no TrainingJob was made",
                start_time=self.now,
                completion_time=self.now,
            )
            self.events.append(Event("Normal", "DryRun", f"{words}; no TrainingJob was made"))
        self.runs, dropped = [run, *self.runs[: MAX_RUNS - 1]], self.runs[MAX_RUNS - 1 :]
        self.past_accelerator_use += [one.accelerator_use for one in dropped if one.accelerator_use]
        self.last_run = number
        if cause.type == "Request":
            self.last_request = cause.request
            self.unpromoted = 0
        elif cause.type == "Event":
            self.requests = [one.model_copy(update={"run": one.run or number}) for one in self.requests]

    def meter(self, run: Run, use: AcceleratorUse | None) -> None:
        """What its training used of accelerators by now."""
        self._put(run.number, run.model_copy(update={"accelerator_use": use}))

    def unwatch(self, run: Run, *, lasted: bool) -> None:
        """The probation of its version is over."""
        self._put(run.number, run.model_copy(update={"watched_until": None}))
        if lasted:
            self.unpromoted = 0

    def relapse(self, run: Run, message: str) -> None:
        """Its version failed on probation."""
        relapsed = run.model_copy(update={"watched_until": None, "relapse_time": self.now})
        self.change(relapsed, RunPhase.ROLLED_BACK, message)

    def change(
        self,
        run: Run,
        phase: RunPhase,
        message: str = "",
        model_version: str | None = None,
        probation: timedelta | None = None,
    ) -> None:
        """Where a run stands now. `probation`: for how long a version that is promoted is yet to prove itself."""
        ended, told = phase not in UNDER_WAY, phase in _TOLD and phase is not run.phase
        changed = run.model_copy(
            update={
                "phase": phase,
                "message": message[:_MAX_MESSAGE],
                "model_version": model_version or run.model_version,
                "completion_time": self.now if ended else None,
                "watched_until": self.now + probation if probation and phase is RunPhase.PROMOTED else None,
                "pending_notices": [*run.pending_notices, *(self._notices(phase.value) if told else ())],
            }
        )
        self._put(run.number, changed)
        if ended:
            if phase is RunPhase.PROMOTED:
                self.unpromoted = self.unpromoted if probation else 0
            elif phase in UNPROMOTED:
                self.unpromoted = min(self.unpromoted + 1, _MOST)
        if told:
            self.events.append(Event(*_TOLD[phase], f"run {run.number}: {message}"))

    def renumber(self, run: Run, number: int, job: str) -> None:
        """A run whose TrainingJob's name turned out to be taken gets the next one."""
        self._put(run.number, run.model_copy(update={"number": number, "training_job": job}))
        self.runs.sort(key=lambda one: one.number, reverse=True)
        self.last_run = number

    def skip(self, skip: Skip) -> None:
        """A cause that starts nothing: one row and one Event for each, however often it is looked at."""
        for index, row in enumerate(self.skipped):
            if (row.trigger, row.time) == (skip.trigger, skip.time):
                if row.reason != skip.reason and skip.reason != "Missed":
                    self.skipped[index] = skip
                return
        self.skipped = [skip, *self.skipped][:MAX_SKIPPED]
        self.events.append(Event("Normal", "RunSkipped", f"{skip.trigger}: {skip.message}"))

    def unskip(self, trigger: str, time: datetime) -> None:
        """The cause started a run after all."""
        self.skipped = [row for row in self.skipped if (row.trigger, row.time) != (trigger, time)]

    def told(self, run: Run, notice: PendingNotice) -> None:
        """That it was told, or will not be any more."""
        left = [one for one in run.pending_notices if one != notice]
        self._put(run.number, run.model_copy(update={"pending_notices": left}))

    def _notices(self, event: str) -> list[PendingNotice]:
        asked = [one.receiver for one in self._notify if event in one.events]
        return [PendingNotice(receiver=receiver, event=Occasion(event), time=self.now) for receiver in asked]

    def _put(self, number: int, run: Run) -> None:
        self.runs = [run if one.number == number else one for one in self.runs]
