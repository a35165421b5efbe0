"""The status of a TrainingJob: its phase for people, its conditions for programs, and its clocks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from perennial import dropped
from perennial.api.base import MOST, parse_time
from perennial.api.conditions import Said, merge
from perennial.api.meta import ANNOTATION_CHAMPION
from perennial.api.trainingjob import Attempt, Champion, Outcome, Phase, TrainingJobStatus
from perennial.plan import Body
from perennial.subject import read_json
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.spec import edited

TERMINAL = (Phase.SUCCEEDED, Phase.FAILED)


def build(
    snapshot: Snapshot,
    now: datetime,
    phase: Phase,
    reason: str,
    message: str = "",
    *,
    stalled: bool = False,
    **changes: Any,
) -> Body:
    """The whole status: what is known before, what the children show, and `changes` (fields of TrainingJobStatus)."""
    before = snapshot.status
    generation = snapshot.body["metadata"]["generation"]
    values: dict[str, Any] = {
        "observed_generation": generation,
        "phase": phase,
        "job_name": (snapshot.job or {}).get("metadata", {}).get("name") or before.job_name,
        "spec_hash": snapshot.job_spec_hash or before.spec_hash,
        "champion": before.champion or _champion(snapshot),
        **_attempts(snapshot, phase, reason),
        **_clocks(snapshot, phase, now),
        **changes,
    }
    if phase in TERMINAL and before.completion_time is None:
        values["completion_time"] = now
    status = before.model_copy(update=values)
    said = _conditions(snapshot, phase, reason, message, stalled)
    body = status.body()
    body["conditions"] = merge((snapshot.body.get("status") or {}).get("conditions") or (), said, now, generation)
    return body


def running_time(status: TrainingJobStatus, now: datetime) -> timedelta:
    """Running time, added up across suspensions."""
    before = timedelta(seconds=status.running_seconds or 0)
    return before + (now - status.running_since if status.running_since else timedelta())


def pending_since(snapshot: Snapshot, now: datetime) -> datetime | None:
    """Since when it waits for its pod to run; None when it does not wait. Until it is written, since it was made."""
    before = snapshot.status
    if before.pending_since or before.running_since:
        return before.pending_since
    return now if before.observed_generation else parse_time(snapshot.body["metadata"]["creationTimestamp"])


def _clocks(snapshot: Snapshot, phase: Phase, now: datetime) -> Mapping[str, Any]:
    before = snapshot.status
    starts = [started for pod in snapshot.pods if (started := pod.started)]
    began = snapshot.live_since if snapshot.distribution else min(starts, default=None)
    clocks: dict[str, Any] = {"start_time": before.start_time or began}
    if phase in (*TERMINAL, Phase.SUSPENDED):
        clocks["running_seconds"] = min(max(0, int(running_time(before, now).total_seconds())), MOST) or None
        clocks["running_since"] = clocks["pending_since"] = None
        return clocks
    clocks["pending_since"] = pending_since(snapshot, now)
    if snapshot.live_since and before.running_since is None:
        clocks["running_since"], clocks["pending_since"] = snapshot.live_since, None
    return clocks


def tried(snapshot: Snapshot) -> list[Attempt]:
    """Rows by number, where each attempt is a Job of its own: what became of one is written by who decides on it."""
    rows = list(snapshot.status.attempts)
    speaks = snapshot.leader or snapshot.pod
    if snapshot.job is None:
        return rows
    unknown = Attempt(pod="", outcome=Outcome.FAILED, reason="Unknown")
    rows += [unknown] * (snapshot.attempt - 1 - len(rows))
    if len(rows) < snapshot.attempt and speaks:
        rows.append(Attempt(pod=speaks.name, outcome=Outcome.ACTIVE))
    return rows


def _attempts(snapshot: Snapshot, phase: Phase, reason: str) -> Mapping[str, Any]:
    if snapshot.spec and snapshot.spec.by_attempt:
        rows = tried(snapshot)
        if phase in TERMINAL and rows and rows[-1].outcome is Outcome.ACTIVE:
            outcome = Outcome.SUCCEEDED if phase is Phase.SUCCEEDED else Outcome.FAILED
            why = None if phase is Phase.SUCCEEDED else reason
            rows[-1] = Attempt(pod=rows[-1].pod, outcome=outcome, reason=why)
        return {"attempts": rows, "attempt": len(rows) or None}
    return _pods(snapshot, reason if phase is Phase.FAILED else "PodGone" if phase in TERMINAL else None)


def _pods(snapshot: Snapshot, over: str | None) -> Mapping[str, Any]:
    """Rows by pod name; what became of a pod that has vanished stays as it was last seen. `over`: why none is active
    any more, once the run is over: this is the last that is written."""
    rows = {attempt.pod: attempt for attempt in snapshot.status.attempts}
    shown = {pod.name: pod for pod in snapshot.pods}
    for name, attempt in rows.items():
        if name not in shown and attempt.outcome is Outcome.ACTIVE:
            rows[name] = Attempt(pod=name, outcome=Outcome.FAILED, reason="PodGone")
    for name, pod in shown.items():
        known = rows.get(name)
        if known and known.outcome not in (Outcome.ACTIVE, pod.outcome) and pod.outcome is Outcome.ACTIVE:
            continue
        failed = pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED)
        rows[name] = Attempt(pod=name, outcome=pod.outcome, reason=pod.failure().reason if failed else None)
    for name, attempt in rows.items():
        if over and attempt.outcome is Outcome.ACTIVE:
            rows[name] = Attempt(pod=name, outcome=Outcome.FAILED, reason=over)
    attempts = list(rows.values())[-128:]
    return {"attempts": attempts, "attempt": max(len(rows), snapshot.status.attempt or 0) or None}


def _champion(snapshot: Snapshot) -> Champion | None:
    annotations = (snapshot.job or {}).get("metadata", {}).get("annotations") or {}
    try:
        return Champion.model_validate(read_json(annotations.get(ANNOTATION_CHAMPION, "")))
    except ValidationError:
        return None


def _conditions(snapshot: Snapshot, phase: Phase, reason: str, message: str, stalled: bool) -> list[Said]:
    said = []
    if phase is Phase.SUCCEEDED:
        said.append(Said("Complete", True, reason, message))
    if phase is Phase.FAILED:
        said.append(Said("Failed", True, reason, message))
    running = phase in (Phase.RUNNING, Phase.PUBLISHING)
    said.append(Said("Running", running, reason, message))
    if phase is Phase.SUSPENDED or _was_suspended(snapshot):
        said.append(Said("Suspended", phase is Phase.SUSPENDED, reason, message))
    if phase in (Phase.PENDING, Phase.PUBLISHING) and not stalled:
        said.append(Said("Reconciling", True, reason, message))
    if stalled or phase is Phase.FAILED:
        said.append(Said("Stalled", True, reason, message))
    if _spec_changed(snapshot):
        said.append(
            Said(
                "SpecChanged",
                True,
                "ChangedAfterStart",
                "the spec was edited after the Job was made; the edit has no effect on this run. "
                "Apply a TrainingJob of another name to train with it",
            )
        )
    return [*said, *dropped.said([snapshot.job])]


def _was_suspended(snapshot: Snapshot) -> bool:
    conditions = (snapshot.body.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Suspended" for condition in conditions)


def _spec_changed(snapshot: Snapshot) -> bool:
    rendered = snapshot.job_spec_hash or snapshot.status.spec_hash
    return rendered is not None and edited(snapshot.job, rendered, snapshot.body)
