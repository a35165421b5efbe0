"""What a pod of a run tells: whether it trains, has trained, waits, or failed, and why, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.base import read_time
from perennial.api.task import Failure as Answer
from perennial.api.task import Prepared, Reason, Result, parse_prepared, parse_result
from perennial.api.trainingjob import Failure, Outcome
from perennial.plan import Body
from perennial.podwords import exit_words, lost_node

TRAINING = "train"
PREPARE = "prepare"
AGENT = "agent"

_INDEX = "batch.kubernetes.io/job-completion-index"
# States of a container from which only a person, or time, brings it on.
_WAITING_ON_ERROR = {
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImagePull": "its image cannot be pulled",
    "ErrImageNeverPull": "its image is not on the node, and its pull policy is Never",
    "InvalidImageName": "its image name is not valid",
    "CreateContainerConfigError": "its configuration refers to something that is missing",
    "CreateContainerError": "it cannot be created",
    "RunContainerError": "it cannot be started",
    "CrashLoopBackOff": "it ends again and again",
}
_LENGTH, _IMAGE = 512, 1024
# A container that ended before its program ran: the launcher never said that it started.
_LOST = "ContainerStatusUnknown"
_NEVER_STARTED = {"StartError", "ContainerCannotRun"}


@dataclass(frozen=True)
class Pod:
    """A pod of a run; `managed` when the agent publishes."""

    body: Body
    managed: bool = True

    @property
    def training(self) -> str:
        """Name of the training container: the only one beside the agent, or the one named `train`."""
        names = [one["name"] for one in self._status.get("containerStatuses") or () if one["name"] != AGENT]
        return names[0] if len(names) == 1 else TRAINING

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def created(self) -> str:
        return str(self.body["metadata"]["creationTimestamp"])

    @property
    def index(self) -> int:
        """Which node of a run it is; 0 is the leader, whose model is published."""
        said = str((self.body["metadata"].get("annotations") or {}).get(_INDEX, "0"))
        return int(said) if said.isascii() and said.isdecimal() and len(said) <= 4 else 0

    @property
    def ended(self) -> str | None:
        """When the training ended, or what was to come before it; None when neither did."""
        ended = self.terminated(self.training) or self.terminated(PREPARE)
        return (ended or {}).get("finishedAt")

    @property
    def phase(self) -> str:
        return str(self._status.get("phase", "Pending"))

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.body["metadata"]

    @property
    def _status(self) -> Body:
        status: Body = self.body.get("status") or {}
        return status

    def state(self, container: str) -> Body:
        """`state` of a container: one of running, waiting, terminated; empty before the kubelet saw it."""
        state: Body = self._container(container).get("state") or {}
        return state

    def _container(self, name: str) -> Body:
        for field in ("initContainerStatuses", "containerStatuses"):
            for status in self._status.get(field) or ():
                if status["name"] == name:
                    return dict(status)
        return {}

    def terminated(self, container: str) -> Body | None:
        """How a container ended, if it did."""
        return self.state(container).get("terminated")

    @property
    def condition(self) -> Callable[[str], Body | None]:
        conditions = self._status.get("conditions") or ()
        return lambda type_: next((c for c in conditions if c["type"] == type_ and c["status"] == "True"), None)

    @property
    def disrupted(self) -> bool:
        """Lost to the infrastructure: preempted, drained, evicted from a node under pressure, its node gone."""
        return self.condition("DisruptionTarget") is not None

    @property
    def outcome(self) -> Outcome:
        if self.phase == "Succeeded":
            return Outcome.SUCCEEDED
        if self.phase == "Failed":
            return Outcome.DISRUPTED if self.disrupted else Outcome.FAILED
        return Outcome.ACTIVE

    @property
    def started(self) -> datetime | None:
        """When the training container started, if it did."""
        state = self.state(self.training)
        at = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        return read_time(at)

    @property
    def trained(self) -> bool:
        """Whether the training ended well, and only the publishing is left."""
        ended = self.terminated(self.training)
        return ended is not None and ended.get("exitCode") == 0

    @property
    def preparing(self) -> str:
        """What is said of a pod that does not train yet. Fetching may be long, or be tried again and again."""
        fetches = "running" in self.state(PREPARE)
        how_far = f": {self.log(PREPARE)} tells how far it is" if fetches else ""
        return f"pod {self.name} is being prepared{how_far}"

    def log(self, container: str) -> str:
        """The command that shows what a container prints."""
        return f"kubectl logs {self.name} -c {container}"

    @property
    def broken(self) -> bool:
        """Whether the training has ended badly. Of one that was told to stop only the agent knows whether it was."""
        code = (self.terminated(self.training) or {}).get("exitCode")
        return bool(code) and (code != 143 or not self.managed or self.answer is not None)

    @property
    def lingering(self) -> str | None:
        """A container that still runs, and keeps the pod, when training and agent have ended."""
        if not self.terminated(self.training) or (self.managed and not self.terminated(AGENT)):
            return None
        others = self._status.get("containerStatuses") or ()
        return next((str(one["name"]) for one in others if "running" in (one.get("state") or {})), None)

    @property
    def answer(self) -> Result | Answer | None:
        """What the agent, or a training that publishes by itself, left as its message."""
        return parse_result((self.terminated(AGENT if self.managed else self.training) or {}).get("message"))

    @property
    def prepared(self) -> Prepared | None:
        found = parse_prepared((self.terminated(PREPARE) or {}).get("message"))
        return found if isinstance(found, Prepared) else None

    @property
    def image(self) -> str | None:
        """The training image by digest, as the kubelet resolved it."""
        status = self._container(self.training)
        image_id = str(status.get("imageID") or "").removeprefix("docker-pullable://")
        name = image_id if "@" in image_id else f"{status.get('image')}@{image_id}"
        return name if image_id and len(name) <= _IMAGE else None

    @property
    def waiting(self) -> tuple[str, str] | None:
        """Why the pod does not run yet: a reason, and words. None when nothing is known to hold it."""
        for condition in self._status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                reason = condition.get("reason", "Unschedulable")
                return str(reason), f"pod {self.name} cannot be scheduled: {condition.get('message', '')}".strip()
        for name in (PREPARE, self.training, AGENT):
            if found := self._waiting(name):
                return found
        return None

    def _waiting(self, container: str) -> tuple[str, str] | None:
        waiting = self.state(container).get("waiting") or {}
        words = _WAITING_ON_ERROR.get(str(waiting.get("reason")))
        if words is None:
            return None
        detail = waiting.get("message", "")
        return waiting["reason"], f"container {container} of pod {self.name} waits: {words}. {detail}".strip()

    @property
    def lost(self) -> str | None:
        """Words on the node of a pod that ran when its node was last heard of."""
        return lost_node(self.body) if self.outcome is Outcome.ACTIVE else None

    @property
    def stuck(self) -> tuple[str, str] | None:
        """Why this pod will not end by itself: one of the two containers failed in a way that the other cannot see."""
        if not self.managed or self.deleting or self.phase in ("Succeeded", "Failed"):
            return None
        training, agent = self.terminated(self.training), self.terminated(AGENT)
        if training and training.get("reason") in (*_NEVER_STARTED, _LOST) and not agent:
            reason, words, _ = _unknown(training)
            return reason, words
        if agent and not training and self.started:
            return "AgentFailed", f"the agent ended before the training did{_with(agent)}"
        if training and (found := self._waiting(AGENT)):
            return "AgentFailed", found[1]
        return None

    def failure(self) -> Failure:
        """Why this pod failed, by the first rule that knows."""
        for rule in _FAILURES:
            found = rule(self)
            if found:
                reason, message, code = found
                return Failure(reason=reason, message=message, exit_code=code, pod=self.name)
        return Failure(reason="PodFailed", message=self._status.get("message", "the pod failed"), pod=self.name)


Found = tuple[str, str, int | None] | None


def _disrupted(pod: Pod) -> Found:
    condition = pod.condition("DisruptionTarget")
    if condition is None:
        return None
    return "Disrupted", f"the pod was lost: {condition.get('reason')}: {condition.get('message', '')}", None


def _evicted(pod: Pod) -> Found:
    status = pod.body.get("status") or {}
    if status.get("reason") not in (
        "Evicted",
        "DeadlineExceeded",
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
    ):
        return None
    return str(status["reason"]), str(status.get("message", "")), None


def _prepare(pod: Pod) -> Found:
    ended = pod.terminated(PREPARE)
    if not ended or ended.get("exitCode") == 0:
        return None
    answer = parse_prepared(ended.get("message"))
    if isinstance(answer, Answer):
        return answer.reason, answer.message, ended["exitCode"]
    how = exit_words(ended["exitCode"], ended.get("reason"))
    return "PrepareFailed", f"preparing the pod ended with {how}{_with(ended)}", ended["exitCode"]


def _training(pod: Pod) -> Found:
    ended = pod.terminated(pod.training)
    if not ended or ended.get("exitCode") == 0:
        return None
    code = int(ended["exitCode"])
    if ended.get("reason") == "OOMKilled":
        return "OutOfMemory", "the training was ended for using more memory than its limit; raise limits.memory", code
    if ended.get("reason") in (*_NEVER_STARTED, _LOST):
        return _unknown(ended)
    if code == 137:
        return "Killed", "the training was killed (SIGKILL); out of memory, or past its grace period", code
    # The agent knows whether the launcher was told to stop, or the training ended so by itself.
    by_itself = isinstance(pod.answer, Answer) and pod.answer.reason == Reason.TRAINING_FAILED
    if code == 143 and not by_itself:
        return "Interrupted", "the training was told to stop before it ended; nothing was published", code
    if code in (126, 127):
        words = f"the command cannot be run: {ended.get('message') or 'check template.spec.containers[].command'}"
        return "StartError", words, code
    return "TrainingFailed", f"the training ended with {exit_words(code)}{_with(ended)}", code


def _unknown(ended: dict[str, Any]) -> tuple[str, str, int | None]:
    """A container of which the kubelet knows no real end."""
    reason, what = "StartError", "the training container could not be started"
    if ended.get("reason") == _LOST:
        reason, what = "ContainerLost", "the node does not know any more how the training ended"
    return reason, f"{what}{_with(ended)}", ended.get("exitCode")


def _agent(pod: Pod) -> Found:
    ended = pod.terminated(AGENT)
    if not ended or ended.get("exitCode") == 0:
        return None
    answer = parse_result(ended.get("message"))
    if isinstance(answer, Answer):
        return answer.reason, answer.message, ended["exitCode"]
    how = exit_words(ended["exitCode"], ended.get("reason"))
    return "AgentFailed", f"the agent ended with {how} before it had published{_with(ended)}", ended["exitCode"]


_FAILURES: tuple[Callable[[Pod], Found], ...] = (_disrupted, _evicted, _prepare, _training, _agent)


def _with(ended: dict[str, Any]) -> str:
    """The last words of a container; a traceback says at its end what went wrong."""
    message = " ".join(str(ended.get("message") or "").split())
    return f": {message if len(message) <= _LENGTH else '…' + message[1 - _LENGTH :]}" if message else ""
