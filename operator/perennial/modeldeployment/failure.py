"""Why a revision's pods are not ready, in words, and whether waiting can help."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from perennial.api.base import read_time
from perennial.api.conditions import find
from perennial.api.task import Failure as Answer
from perennial.api.task import Reason, parse_prepared
from perennial.modeldeployment.pod import FETCH
from perennial.modeldeployment.requestlog import SHIP
from perennial.plan import Body
from perennial.podwords import cut, exit_words, lost_node, ready_since, refused_words

MODEL_LOAD_FAILED = 78  # the exit code of a model server that cannot load its model
CRASHES = 3
_LENGTH = 512
_NOW = datetime.max.replace(tzinfo=UTC)
SILENT = "they run, but do not answer ready"
# The same files from the same place will fail the same way.
_HOPELESS = {Reason.DIGEST_MISMATCH, Reason.INVALID_URI, Reason.NOT_FOUND}
# The world may come right: the progress deadline says how long is waited for that.
_PASSING = {Reason.STORE_UNAVAILABLE, Reason.ACCESS_DENIED, Reason.NO_SPACE, Reason.INTERRUPTED}
_NO_START = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "ImageInspectError": "ImagePullFailed",
    "InvalidImageName": "InvalidImageName",
    "CreateContainerConfigError": "ContainerConfigError",
    "CreateContainerError": "ContainerConfigError",
    "RunContainerError": "ContainerConfigError",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What keeps a revision from being ready. `hopeless`: no use waiting. `crashing`: hopeless where another serves.

    `at`: when it happened; it goes on where that is not known.
    """

    reason: str
    message: str
    hopeless: bool = False
    crashing: bool = False
    at: datetime = field(default=_NOW, compare=False)


def failure_of(pods: Iterable[Body], deployment: Body | None) -> Failure | None:
    """The gravest failure of a revision's pods that are not ready, of several the latest, else what keeps its pods from
    being made."""
    found = [failure for pod in pods if ready_since(pod) is None for failure in _of_pod(pod)]
    found += _of_deployment(deployment)
    return max(found, key=_grave, default=None)


def _grave(failure: Failure) -> tuple[bool, bool, datetime]:
    return failure.hopeless, failure.crashing, failure.at


def last_failure(pods: Iterable[Body]) -> Failure | None:
    """What failed last in these pods, also in those that have come right since."""
    return max((failure for pod in pods for failure in _of_pod(pod)), key=lambda one: one.at, default=None)


def unready(pods: Iterable[Body]) -> str | None:
    """What pods do that are not ready and have not failed, as far as it is known."""
    statuses = {pod["metadata"]["name"]: pod.get("status") or {} for pod in pods if ready_since(pod) is None}
    silent = None
    for name, status in statuses.items():
        servers = status.get("containerStatuses") or ()
        if servers and all(map(_runs, servers)):
            # What still runs of the others are sidecars.
            silent = SILENT
            continue
        for container in status.get("initContainerStatuses") or ():
            if _runs(container) and container["name"] != SHIP:
                return f"container {container['name']} of pod {name} has not ended yet"
    return silent


def _runs(container: Body) -> bool:
    return "running" in (container.get("state") or {})


def _of_pod(pod: Body) -> Iterable[Failure]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    if status.get("phase") in ("Failed", "Succeeded"):
        # Pods of a Deployment never end by themselves. How its containers ended is only what follows from it; where all
        # of them end with 0, the kubelet forgets the reason, and only its Event has it.
        times = [read_time(one.get("lastTransitionTime")) for one in status.get("conditions") or ()]
        words = status.get("message") or status.get("reason") or "its node has stopped it, see the Events of the pod"
        at = max((time for time in times if time), default=_NOW)
        yield Failure(status.get("reason") or "StoppedByNode", _cut(f"pod {name}: {words}"), at=at)
        return
    if lost := lost_node(pod):
        yield Failure("NodeNotReady", f"pod {name}: {lost}")
        return
    scheduled = find(status.get("conditions"), "PodScheduled")
    if scheduled and scheduled["status"] == "False":
        yield Failure(scheduled.get("reason") or "Unschedulable", _cut(scheduled.get("message", "")))
    for containers, rules in (("initContainerStatuses", _RULES), ("containerStatuses", (*_RULES, _ends))):
        for container in status.get(containers) or ():
            found = next((found for rule in rules if (found := rule(name, container))), None)
            if found:
                yield found


def _cannot_start(pod: str, container: Body) -> Failure | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = _NO_START.get(waiting.get("reason", ""))
    if reason is None:
        return None
    words = waiting.get("message") or waiting["reason"]
    return Failure(
        reason,
        _cut(f"container {container['name']} of pod {pod} cannot start: {words}"),
        hopeless=reason == "InvalidImageName",
    )


def _fetch_failed(pod: str, container: Body) -> Failure | None:
    ended = _ended(container)
    answer = parse_prepared(ended.get("message")) if container["name"] == FETCH else None
    if not isinstance(answer, Answer):
        return None
    return Failure(
        answer.reason,
        _cut(answer.message),
        hopeless=answer.reason in _HOPELESS,
        crashing=answer.reason not in _PASSING and container.get("restartCount", 0) >= CRASHES,
        at=_at(ended),
    )


def _model_not_loaded(pod: str, container: Body) -> Failure | None:
    ended = _ended(container)
    if ended.get("exitCode") != MODEL_LOAD_FAILED or container["name"] == FETCH:
        return None
    answer = parse_prepared(ended.get("message"))
    words = answer.message if isinstance(answer, Answer) else ended.get("message", "")
    message = _cut(words or f"the server in pod {pod} could not load the model")
    return Failure("ModelLoadFailed", message, hopeless=True, at=_at(ended))


def _crashes(pod: str, container: Body) -> Failure | None:
    return _ends(pod, container) if _ended(container).get("exitCode") else None


def _ends(pod: str, container: Body) -> Failure | None:
    """A server has no reason to end, not even with exit code 0."""
    ended, crashing = _ended(container), container.get("restartCount", 0) >= CRASHES
    if not ended:
        return None
    code, out_of_memory = ended.get("exitCode") or 0, ended.get("reason") == "OOMKilled"
    how = exit_words(code, ended.get("reason"))
    advice = ", for using more memory than its limit; raise limits.memory" if out_of_memory else ""
    tail = f": {ended['message'].strip()}" if ended.get("message") else ""
    reason = "OutOfMemory" if out_of_memory else "CrashLoop" if crashing else "ContainerFailed"
    words = f"container {container['name']} of pod {pod} ended with {how}{advice}{tail}"
    return Failure(reason, _cut(words), crashing=crashing, at=_at(ended))


_RULES: Sequence[Callable[[str, Body], Failure | None]] = (
    _cannot_start,
    _fetch_failed,
    _model_not_loaded,
    _crashes,
)


def _of_deployment(deployment: Body | None) -> Iterable[Failure]:
    condition = find(((deployment or {}).get("status") or {}).get("conditions"), "ReplicaFailure")
    if condition and condition["status"] == "True":
        yield Failure("PodsRefused", _cut(refused_words(condition.get("message", ""))))


def _ended(container: Body) -> Any:
    """How the container last ended, if it does not run well now."""
    state = container.get("state") or {}
    return state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}


def _at(ended: Body) -> datetime:
    return read_time(ended.get("finishedAt")) or _NOW


def _cut(text: str) -> str:
    return cut(text, _LENGTH)
