"""What a new revision must show before it gets requests: a Job of the agent asks it and the stable one, and its answer
is judged."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from perennial.api.base import ApiModel, digest_of
from perennial.api.meta import LABEL_OWNED
from perennial.api.modeldeployment import Rollout
from perennial.api.resources import JOBS
from perennial.api.task import Artifact, Failure, Task
from perennial.errands import OwnJob, ends, found, given_up_at, lost
from perennial.jobs import agent_job, job_condition
from perennial.modeldeployment.children import address, beside
from perennial.modeldeployment.failure import failure_of
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.modeldeployment.turn import Turn
from perennial.plan import Action, Body, Create
from perennial.pods import agent_container, claim_mounts, claim_of

_BACKOFF_LIMIT = 2
_KEPT_SECONDS = 3600

S = TypeVar("S", bound=ApiModel)
A = TypeVar("A")


class Trial(ABC, Generic[S, A]):
    """One sort of these. `S`: the part of the spec that asks for it; `A`: what the Job answers.

    `field` of the rollout holds the result; `mark` is in the Job's name, `label` on its pod, and `step` what the agent
    is told to do.
    """

    field: ClassVar[str]
    mark: ClassVar[str]
    label: ClassVar[str]
    step: ClassVar[str]
    parse: Callable[[str | None], A | Failure | None]

    @abstractmethod
    def asked(self, scene: Scene) -> S | None:
        """What asks for it."""

    @abstractmethod
    def data(self, asked: S) -> Artifact:
        """What is sent to both."""

    @abstractmethod
    def task(self, asked: S, stable: str, incoming: str) -> Task:
        """What the Job does with the two, by their URLs."""

    @abstractmethod
    def judged(self, scene: Scene, rolling: Rollout, asked: S, answer: A) -> Turn:
        """What follows from an answer."""

    @abstractmethod
    def unanswerable(self, scene: Scene, rolling: Rollout, asked: S, why: str) -> Turn:
        """What follows when none comes."""

    def jobs(self, scene: Scene) -> Iterator[Action]:
        """The Job of the rollout under way. Kubernetes takes it away when its log has been there for long enough."""
        asked = self._open(scene)
        if asked and scene.arrived and not scene.spec.paused and not self._found(scene, asked):
            yield Create(self._job(scene, asked))

    def ended(self, scene: Scene) -> Turn | None:
        """It was answered, or cannot be."""
        rolling, asked = scene.memory.rollout, self._open(scene)
        if rolling is None or asked is None or (own := self._found(scene, asked)) is None:
            return None
        answer = self._answer(own)
        if answer is not None and not isinstance(answer, Failure):
            return self.judged(scene, rolling, asked, answer)
        why = ""
        if failed := job_condition(own.job, "Failed"):
            why = self.unanswered(scene) or failed.get("message", "")
        why = why or lost(own, scene.now)
        return self.unanswerable(scene, rolling, asked, why) if why else None

    def unanswered(self, scene: Scene) -> str:
        """Why there is no answer yet, as far as something keeps it from coming."""
        asked = self._open(scene)
        own = self._found(scene, asked) if asked else None
        answer = self._answer(own) if own else None
        if isinstance(answer, Failure):
            return answer.message
        failure = failure_of(own.pods, None) if own else None
        return failure.message if failure else ""

    def lost_at(self, scene: Scene) -> datetime | None:
        """When the answer of a Job that ended is not waited for any more; None while it runs, or when it is there."""
        asked = self._open(scene)
        own = self._found(scene, asked) if asked else None
        if own is None or not isinstance(self._answer(own), Failure | None):
            return None
        return given_up_at(own)

    def _open(self, scene: Scene) -> S | None:
        """What asks for it, where an answer is waited for."""
        rolling = scene.memory.rollout
        if rolling is None or scene.stage.trial != self.field or getattr(rolling, self.field) is not None:
            return None
        return self.asked(scene)

    def _found(self, scene: Scene, asked: S) -> OwnJob | None:
        return found(scene.seen.jobs, self._name(scene, asked))

    def _name(self, scene: Scene, asked: S) -> str:
        """Of this rollout's Job: another rollout, and another question, have another."""
        rolling = scene.memory.rollout
        assert rolling
        which = digest_of([rolling.revision, rolling.start_time.isoformat(), asked.told()])
        return f"{scene.seen.name}-{self.mark}-{which}"

    def _job(self, scene: Scene, asked: S) -> Body:
        claim = claim_of(self.data(asked).uri)
        claims = [claim] if claim else []
        preview = preview_name(scene.seen.name)
        container = agent_container(
            self.step,
            self.step,
            self.task(asked, address(scene.seen, scene.seen.name), address(scene.seen, preview)),
            scene.config,
            storage=scene.spec.storage.secret_name if scene.spec.storage else None,
            mounts=claim_mounts(claims, read_only=True),
        )
        # Not the labels of a server's pods: the Service would select it.
        labels = {LABEL_OWNED: "true", self.label: scene.seen.name}
        limits = {
            "backoffLimit": _BACKOFF_LIMIT,
            "activeDeadlineSeconds": scene.spec.progress_deadline_seconds,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
        }
        metadata = beside(scene.seen, JOBS, self._name(scene, asked), {})["metadata"]
        return agent_job(metadata, labels, container, claims, limits)

    def _answer(self, own: OwnJob) -> A | Failure | None:
        """What was found, else why the last try failed."""
        said = [self.parse(ended.get("message")) for ended in ends(own, self.step)]
        answers = [one for one in said if one is not None and not isinstance(one, Failure)]
        if answers:
            return answers[-1]
        return next((one for one in reversed(said) if one), None)
