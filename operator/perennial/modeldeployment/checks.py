"""The analysis' source `job`: a Job for each look at the new revision, which measures it, or decides by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from perennial.analysis import Analysis, AnalysisMetric, Verdict
from perennial.api.base import digest_of, format_time
from perennial.api.meta import LABEL_CHECK, LABEL_OWNED
from perennial.api.modeldeployment import Rollout
from perennial.api.resources import JOBS
from perennial.errands import (
    WORDS,
    OwnJob,
    answering,
    end_of,
    found,
    given_up_at,
    objection,
    rehearsal,
    sampled,
    spec_of,
)
from perennial.modeldeployment.children import address, beside
from perennial.modeldeployment.failure import failure_of
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.plan import Action, Body, Create
from perennial.podwords import cut
from perennial.questions import Answer, Rehearsal
from perennial.sources import Job

_VERDICTS = {
    Verdict.PASS: "its Job says that it is good",
    Verdict.FAIL: "its Job says that it is not good",
    Verdict.INCONCLUSIVE: "its Job cannot say",
}


@dataclass(frozen=True, slots=True)
class Opinion(Answer):
    """What a Job says that decides by itself."""

    verdict: Verdict = Verdict.INCONCLUSIVE
    message: str = ""

    @property
    def words(self) -> str:
        """The verdict for people."""
        return f"{_VERDICTS[self.verdict]}{f': {self.message}' if self.message else ''}"


class _Said(BaseModel):
    """What a container leaves that does not want its exit code to decide."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    verdict: Literal[Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]
    message: str = ""


def checks(scene: Scene) -> Iterator[Action]:
    """The Jobs of the look that is due."""
    rolling, analysis = scene.memory.rollout, scene.stage.analysis
    if rolling is None or analysis is None or not scene.look_due:
        return
    for metric in analysis.metrics:
        job = metric.source.job
        if job is not None and answer(scene, metric) is None and _job_of(scene, metric) is None:
            env = _environment(scene, rolling, metric)
            yield Create(_job(scene, _name(scene, metric), env, job), strict=True)


def answer(scene: Scene, metric: AnalysisMetric) -> Answer | None:
    """What the Job of this look found out; None while it runs."""
    own, refusal = _job_of(scene, metric), scene.seen.refusal
    if own is None:
        refused = refusal is not None and (refusal.resource, refusal.name) == (JOBS, _name(scene, metric))
        return Answer(error=f"the Job is refused: {refusal.message}") if refused and refusal else None
    assert metric.source.job
    end = end_of(own, answering(metric.source.job), scene.now)
    if end is None:
        return None
    if metric.limited:
        return sampled(own, end)
    if not end.error:
        return _opinion(end.message, Verdict.PASS)
    return _opinion(end.message, Verdict.FAIL) if end.decided else Answer(error=end.error)


def unanswered(scene: Scene) -> str:
    """Why a Job that is waited for has not begun, as far as that is known."""
    for own in _awaited(scene):
        if failure := failure_of(own.pods, None):
            return failure.message
    return ""


def lost_at(scene: Scene) -> datetime | None:
    """When the first answer of a Job that ended is not waited for any more."""
    return min((at for own in _awaited(scene) if (at := given_up_at(own))), default=None)


def _awaited(scene: Scene) -> Iterator[OwnJob]:
    analysis = scene.stage.analysis if scene.look_due else None
    for metric in analysis.metrics if analysis else ():
        if metric.source.job and answer(scene, metric) is None and (own := _job_of(scene, metric)):
            yield own


def _job_of(scene: Scene, metric: AnalysisMetric) -> OwnJob | None:
    return found(scene.seen.jobs, _name(scene, metric))


def _name(scene: Scene, metric: AnalysisMetric) -> str:
    """Of this look's Job: another look, and another Job, have another."""
    rolling, at = scene.memory.rollout, scene.next_look
    assert rolling
    assert at
    assert metric.source.job
    asked = digest_of([rolling.revision, at.isoformat(), metric.name, metric.source.job.told()])
    return f"{scene.seen.name}-check-{asked}"


def rehearsals(scene: Scene) -> list[Rehearsal]:
    """Whether the API server would take the Jobs that looks will need."""
    return [_rehearsal(scene, job) for _, job in _every(scene)]


def invalid(scene: Scene) -> str:
    """What is wrong with a Job that a look will need, by its field."""
    for place, job in _every(scene):
        if words := objection(scene.seen.answers.get(_rehearsal(scene, job)), place):
            return words
    return ""


def _every(scene: Scene) -> Iterator[tuple[str, Job]]:
    """The Jobs that the strategy asks for, and where it does."""
    strategy = scene.strategy
    for name, field in type(strategy).model_fields.items():
        analysis = getattr(strategy, name)
        for number, metric in enumerate(analysis.metrics if isinstance(analysis, Analysis) else ()):
            if metric.source.job is not None:
                place = f"spec.strategy.{scene.spec.strategy.option}.{field.alias or name}"
                yield f"{place}.metrics[{number}].source.job", metric.source.job


def _rehearsal(scene: Scene, job: Job) -> Rehearsal:
    return rehearsal(_job(scene, f"{scene.seen.name}-check-rehearsal", {}, job))


def _job(scene: Scene, name: str, env: Mapping[str, str], job: Job) -> Body:
    # Not the labels of a server's pods: the Service would select it.
    labels = {LABEL_OWNED: "true", LABEL_CHECK: scene.seen.name}
    return beside(scene.seen, JOBS, name, spec_of(job, env, labels, scene.config.defaults.pod_security))


def _environment(scene: Scene, rolling: Rollout, metric: AnalysisMetric) -> dict[str, str]:
    assert rolling.analysis
    known = {
        "PERENNIAL_DEPLOYMENT": scene.seen.name,
        "PERENNIAL_NAMESPACE": scene.seen.namespace,
        "PERENNIAL_REVISION": rolling.revision,
        "PERENNIAL_MODEL_VERSION": "" if rolling.version is None else str(rolling.version),
        "PERENNIAL_METRIC": metric.name,
        "PERENNIAL_SINCE": format_time(rolling.analysis.start_time),
        "PERENNIAL_URL": address(scene.seen, preview_name(scene.seen.name)),
    }
    if scene.stable is not None and scene.led.service == scene.stable:
        # Only then: a Service that both share says nothing of one of them.
        known["PERENNIAL_STABLE_URL"] = address(scene.seen, scene.seen.name)
    return known


def _opinion(message: str, verdict: Verdict) -> Opinion:
    try:
        said = _Said.model_validate_json(message)
    except ValidationError:
        return Opinion(verdict=verdict, message=cut(message, WORDS))
    return Opinion(verdict=said.verdict, message=cut(said.message, WORDS))
