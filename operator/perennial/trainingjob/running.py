"""A run under way: how it stands, in words, and when to look again."""

from datetime import datetime, timedelta
from typing import Any

from perennial import dropped
from perennial.api.base import read_time
from perennial.api.resources import JOBS
from perennial.api.trainingjob import Outcome, Phase
from perennial.config import Config
from perennial.plan import Action, Event, Explain, Plan
from perennial.podwords import refused_words
from perennial.trainingjob.job import until_deadline
from perennial.trainingjob.pod import Pod
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.status import build

# A run that lasts less than this never shows as Running: one write less for it.
RUNNING_DELAY = 1.0
# An upload that takes less than this never shows as Publishing.
UPLOAD_DELAY = 10.0
# The agent of a training that ended badly ends a moment later, and the pod with it.
ENDING_DELAY = 5.0
# A wait that nothing is known to hold is written about after this long; the API server shows Pending without a write.
PENDING_DELAY = 30.0
# A Job that its controller works on and that has no pod after this long was refused one; its Events say why.
NO_POD_AFTER = timedelta(seconds=3)
# How soon the Events of such a Job are read again.
EXPLAIN_EVERY = 15.0


def progress(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Nothing to do but to say how it stands, and to come back when a clock runs out."""
    pod = snapshot.pod
    later = until_deadline(snapshot, now)
    failed = snapshot.failed
    changes: dict[str, Any] = {}
    events = []
    if failed and (snapshot.status.failure is None or snapshot.status.failure.pod != failed.name):
        failure = failed.failure().model_copy(update={"time": now})
        changes["failure"] = failure
        events.append(Event("Warning", failure.reason, f"attempt {failed.name}: {failure.message}"))
    if pod is None or snapshot.missing or pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED):
        return _without_pod(snapshot, now, later, changes, events)
    if pod.lost:
        words = (
            f"pod {pod.name} is on a node that is lost: {pod.lost}. The training may go on there; if the node is gone "
            "for good, delete it, and the training starts again elsewhere"
        )
        events.append(Event("Warning", "NodeNotReady", words))
        status = build(snapshot, now, Phase.RUNNING, "NodeNotReady", words, **changes)
        return Plan(status=status, events=events, requeue_after=later)
    if pod.lingering:
        words = (
            f"the training has ended, but container {pod.lingering} keeps pod {pod.name} running: a helper belongs "
            "into spec.template.spec.initContainers with restartPolicy: Always"
        )
        return Plan(status=build(snapshot, now, Phase.PUBLISHING, "ContainerRunning", words, **changes), events=events)
    if pod.broken:
        known = snapshot.status.failure
        failure = known if known and known.pod == pod.name else pod.failure().model_copy(update={"time": now})
        words = f"the training has ended, and pod {pod.name} ends: {failure.message}"
        status = build(snapshot, now, Phase.RUNNING, "Ending", words, failure=failure)
        events.append(Event("Warning", failure.reason, f"attempt {pod.name}: {failure.message}"))
        return Plan(status=status, events=events, requeue_after=later, status_delay=ENDING_DELAY)
    if snapshot.trained:
        words = "the training has ended; its output is being published"
        status = build(snapshot, now, Phase.PUBLISHING, "Publishing", words, **changes)
        return Plan(status=status, events=events, requeue_after=later, status_delay=0 if changes else UPLOAD_DELAY)
    if pod.started:
        before = changes.get("failure") or snapshot.status.failure
        words = _training(snapshot, pod)
        if before:
            words += f"; the attempt before failed: {before.message}"
        if later is None or later > RUNNING_DELAY:
            later = RUNNING_DELAY if snapshot.status.phase is not Phase.RUNNING else later
        status = build(snapshot, now, Phase.RUNNING, "Training", words, **changes)
        return Plan(status=status, events=events, requeue_after=later, status_delay=0 if changes else RUNNING_DELAY)
    reason, words = pod.waiting or ("Preparing", pod.preparing)
    if snapshot.distribution:
        words += f" ({_started(snapshot)} nodes train)"
    if pod.waiting:
        events.append(Event("Warning", reason, words))
    delay = 0.0 if changes or pod.waiting else _pending_delay(snapshot)
    status = build(snapshot, now, Phase.PENDING, reason, words, **changes)
    return Plan(status=status, events=events, requeue_after=later, status_delay=delay)


def _training(snapshot: Snapshot, pod: Pod) -> str:
    told = snapshot.leader or pod
    where = f"{_started(snapshot)} pods" if snapshot.distribution else f"pod {pod.name}"
    return f"training in {where}, {told.log(told.training)} tells how far it is"


def _started(snapshot: Snapshot) -> str:
    """How many nodes train."""
    assert snapshot.spec
    well = (Outcome.ACTIVE, Outcome.SUCCEEDED)
    started = sum(pod.started is not None for pod in snapshot.pods if pod.outcome in well)
    return f"{started}" if started == snapshot.spec.nodes else f"{started} of {snapshot.spec.nodes}"


def _without_pod(
    snapshot: Snapshot, now: datetime, later: float | None, changes: dict[str, Any], events: list[Event]
) -> Plan:
    """Between two attempts, or before the first: has the cluster refused the pod?"""
    assert snapshot.job
    assert snapshot.spec
    if snapshot.distribution and snapshot.failed:
        words = f"pod {snapshot.failed.name} has failed, and the other nodes are stopped"
        return Plan(status=build(snapshot, now, Phase.PENDING, "Restarting", words, **changes), events=events)
    explanation = snapshot.explanation and refused_words(snapshot.explanation)
    if explanation:
        events.append(Event("Warning", "PodRefused", explanation))
    there = f"waiting for the Job's pods: {len(snapshot.pods)} of {snapshot.spec.nodes} are there"
    words = explanation or (there if snapshot.distribution else "waiting for the Job's pod")
    status = build(snapshot, now, Phase.PENDING, "PodRefused" if explanation else "Starting", words, **changes)
    metadata, begun = snapshot.job["metadata"], read_time((snapshot.job.get("status") or {}).get("startTime"))
    waited = begun is not None and now - begun >= NO_POD_AFTER
    actions: list[Action] = []
    if waited and snapshot.missing:
        actions.append(Explain(JOBS, snapshot.namespace, metadata["name"], metadata["uid"]))
    look_again = EXPLAIN_EVERY if waited else NO_POD_AFTER.total_seconds()
    return Plan(
        actions,
        status,
        events,
        requeue_after=min(look_again, later or look_again),
        status_delay=0 if changes or explanation else _pending_delay(snapshot),
    )


def _pending_delay(snapshot: Snapshot) -> float:
    """The API server shows a new run as Pending by itself; one that was something else must be seen to change, and what
    was dropped of one is told before it has trained for hours."""
    if any(dropped.said([snapshot.job])):
        return 0.0
    return RUNNING_DELAY if snapshot.status.observed_generation else PENDING_DELAY
