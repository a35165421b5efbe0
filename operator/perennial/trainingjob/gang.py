"""The pods of a run on several nodes, which stand and fall together: their names, and which of them says how it is."""

from collections.abc import Sequence
from datetime import datetime

from perennial.api.meta import LABEL_ATTEMPT
from perennial.api.trainingjob import Distribution, Outcome
from perennial.plan import Body
from perennial.trainingjob.pod import Pod

_LATE = "9999-12-31T23:59:59Z"
_WELL = (Outcome.ACTIVE, Outcome.SUCCEEDED)
# Reasons that most often are another node's doing: its peers lose the connection, or are stopped.
_CAUSED = ("TrainingFailed", "Interrupted", "AgentFailed")


def job_name(name: str, attempt: int) -> str:
    """Name of the Job of an attempt."""
    return name if attempt == 1 else f"{name}-a{attempt}"


def service_name(name: str) -> str:
    """Name of the headless Service that gives the nodes their names. Names of Services begin with a letter."""
    return f"peers-{name}"


def attempt_of(job: Body) -> int:
    """Which attempt a Job is; 1 for one that is the only Job of its run."""
    label = (job["metadata"].get("labels") or {}).get(LABEL_ATTEMPT, "1")
    return int(label) if label.isascii() and label.isdecimal() and len(label) <= 4 else 1


def least_far(pods: Sequence[Pod], distribution: Distribution) -> Pod | None:
    """The pod that says where they stand together: what failed first, else what trains or waits, else what is done.

    Of an elastic run that has enough nodes, those that wait, and those that were lost, say nothing.
    """
    if distribution.elastic:
        pods = [pod for pod in pods if pod.outcome is not Outcome.DISRUPTED]
        if trains_since(pods, distribution):
            pods = [pod for pod in pods if pod.started or pod.outcome is Outcome.FAILED]
    return min(pods, key=lambda pod: (_stage(pod), *_first(pod)), default=None)


def cause(pods: Sequence[Pod], distribution: Distribution) -> Pod | None:
    """The pod for which an attempt failed: what was lost, else what failed first and by itself.

    An elastic run bears the loss of any node but the first, which holds the rendezvous.
    """
    failed = [pod for pod in pods if pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED)]
    if distribution.elastic:
        failed = [pod for pod in failed if pod.outcome is Outcome.FAILED or pod.index == 0]
    return min(failed, key=_first, default=None)


def trains_since(pods: Sequence[Pod], distribution: Distribution) -> datetime | None:
    """Since when as many nodes train as are needed; None when they do not."""
    starts = sorted(start for pod in pods if pod.outcome in _WELL and (start := pod.started))
    return starts[distribution.needed - 1] if len(starts) >= distribution.needed else None


def _first(pod: Pod) -> tuple[bool, bool, str, bool, int]:
    lost = pod.outcome is Outcome.DISRUPTED
    caused = pod.outcome is Outcome.FAILED and pod.failure().reason in _CAUSED
    return not lost, pod.deleting, pod.ended or _LATE, caused, pod.index


def _stage(pod: Pod) -> int:
    """How far a pod is."""
    stages = (
        pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED),
        pod.broken or pod.stuck is not None,
        pod.lost is not None,
        pod.waiting is not None,
        pod.started is None,
        not pod.trained,
        pod.outcome is Outcome.ACTIVE,
    )
    return next((stage for stage, holds in enumerate(stages) if holds), len(stages))
