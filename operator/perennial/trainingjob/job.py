"""A run's Job and its clocks, as the rules read them: how it ended, what it waits for, when the next clock runs out."""

from datetime import datetime

from perennial.api.resources import JOBS
from perennial.plan import Body, Patch
from perennial.podwords import refused_words
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.status import pending_since, running_time


def patch_job(job: Body, spec: Body) -> Patch:
    metadata = job["metadata"]
    return Patch(JOBS, metadata["namespace"], metadata["name"], {"spec": spec}, metadata["uid"])


def live_start(snapshot: Snapshot) -> bool:
    return snapshot.status.running_since is not None or snapshot.live_since is not None


def waiting(snapshot: Snapshot) -> tuple[str, str] | None:
    if snapshot.pod:
        return snapshot.pod.waiting
    return ("PodRefused", refused_words(snapshot.explanation)) if snapshot.explanation else None


def until_deadline(snapshot: Snapshot, now: datetime) -> float | None:
    """Seconds until the next clock runs out; None when no clock runs."""
    assert snapshot.spec
    left = []
    if snapshot.spec.active_deadline_seconds and snapshot.status.running_since:
        left.append(snapshot.spec.active_deadline_seconds - running_time(snapshot.status, now).total_seconds())
    if snapshot.spec.pending_deadline_seconds and not live_start(snapshot):
        since = pending_since(snapshot, now) or now
        left.append(snapshot.spec.pending_deadline_seconds - (now - since).total_seconds())
    return max(0.1, min(left)) if left else None
