"""Jobs that ask the new revision something: found again by their names, and how they ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from perennial.api.base import read_time
from perennial.jobs import job_condition
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import OwnJob
from perennial.plan import Body

# A pod is told of apart from its Job, and may be told of later.
_LOST = timedelta(seconds=60)


def found(scene: Scene, name: str) -> OwnJob | None:
    """The Job of this name, and its pods."""
    return next((one for one in scene.seen.jobs if one.job["metadata"]["name"] == name), None)


def ends(own: OwnJob, container: str) -> Sequence[Body]:
    """How this container ended in each of the pods where it did, the last one last."""
    return [
        ended
        for pod in sorted(own.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
        if status["name"] == container and (ended := (status.get("state") or {}).get("terminated"))
    ]


def given_up_at(own: OwnJob) -> datetime | None:
    """When the answer of a Job that ended is not waited for any more; None while it runs, and if it ran out of time."""
    ended = job_condition(own.job, "Complete") or job_condition(own.job, "Failed")
    if ended and ended.get("reason") == "DeadlineExceeded":
        return None
    at = read_time(ended.get("lastTransitionTime")) if ended else None
    return at + _LOST if at else None


def lost(scene: Scene, own: OwnJob) -> str:
    """That the answer of a Job that ended well does not come any more, as far as that is so."""
    at = given_up_at(own)
    if at is None or scene.now < at:
        return ""
    return f"the answer of Job {own.job['metadata']['name']} is lost with its pod"
