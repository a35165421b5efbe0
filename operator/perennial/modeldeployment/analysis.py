"""How a rollout is looked at while its revision gets requests, and what follows from that."""

from collections.abc import Callable, Sequence

from perennial.analysis import Analysis, AnalysisMetric, AnalysisStatus, Measurement, OnInconclusive, Verdict
from perennial.analysis.judge import judge, looked, together
from perennial.api.base import parse_duration
from perennial.api.meta import LABEL_RUNTIME
from perennial.api.modeldeployment import Rollout
from perennial.modeldeployment import checks
from perennial.modeldeployment.checks import Opinion
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.turn import Turn, about, rolled_back, rolling_on
from perennial.podwords import ready_since
from perennial.questions import Answer, Question, Sampled
from perennial.sources import Asked, Evidence, Job, Matter, Source, Unanswerable


def begins(scene: Scene) -> bool:
    """Whether something is asked of the new revision, and there is a stable one beside it."""
    return scene.stage.analysis is not None and scene.stable is not None and scene.arrived


def questions(scene: Scene) -> Sequence[Question]:
    """What the look that is due asks of others."""
    rolling = scene.memory.rollout
    analysis = scene.stage.analysis if rolling else None
    if rolling is None or analysis is None or not scene.look_due:
        return ()
    asked = (
        _question(scene, analysis, metric, revision)
        for metric in analysis.metrics
        for revision in _revisions(scene, rolling, metric)
    )
    return [question for question in asked if question is not None and not isinstance(question, Answer)]


def _revisions(scene: Scene, rolling: Rollout, metric: AnalysisMetric) -> Sequence[str]:
    """Of which revisions a metric is wanted."""
    if metric.no_worse_than_stable_by is None or scene.stable is None:
        return (rolling.revision,)
    return rolling.revision, scene.stable


def _question(scene: Scene, analysis: Analysis, metric: AnalysisMetric, revision: str) -> Question | Answer | None:
    """What is asked of a revision: nothing where there is nobody to ask; the answer where it cannot be asked."""
    source, rolling = metric.source.chosen, scene.memory.rollout
    if not isinstance(source, Asked) or scene.next_look is None or rolling is None or rolling.analysis is None:
        return None
    pods = [pod for pod in scene.seen.pods.get(revision, ()) if ready_since(pod)]
    labels = scene.seen.deployments.get(revision, {}).get("metadata", {}).get("labels") or {}
    matter = Matter(
        metric=metric.name,
        namespace=scene.seen.namespace,
        deployment=scene.seen.name,
        revision=revision,
        runtime=labels.get(LABEL_RUNTIME),
        runtimes={name: preset.metrics for name, preset in scene.config.serving_runtimes.items()},
        pods=pods,
        interval=parse_duration(analysis.interval),
        at=scene.next_look,
        since=rolling.analysis.start_time,
    )
    try:
        return source.question(matter)
    except Unanswerable as error:
        return Answer(error=str(error))


def _measured(scene: Scene) -> Turn | None:
    """It is time for a look, and who was asked has answered."""
    rolling, analysis = scene.memory.rollout, scene.stage.analysis
    if rolling is None or rolling.analysis is None or analysis is None or not scene.look_due:
        return None
    if any(question not in scene.seen.answers for question in questions(scene)):
        return None
    if any(one.source.job is not None and checks.answer(scene, one) is None for one in analysis.metrics):
        return None
    found = [_judged(scene, rolling, analysis, metric) for metric in analysis.metrics]
    before, after = rolling.analysis, looked(rolling.analysis, found)
    events = []
    if after.verdict != before.verdict:
        bad = after.verdict in (Verdict.FAIL, Verdict.ERROR)
        events.append(about(scene, rolling, f"Analysis{after.verdict}", _words(after), warning=bad))
    return rolling_on(scene, rolling, *events, analysis=after.model_copy(update={"last_time": scene.now}))


def _judged(scene: Scene, rolling: Rollout, analysis: Analysis, metric: AnalysisMetric) -> Measurement:
    new, stable = rolling.revision, scene.stable or ""
    if not isinstance(metric.source.chosen, Asked | Job):
        ours, theirs = (_told(scene, rolling, metric, revision) for revision in (new, stable))
        return judge(metric, ours, theirs, analysis.confidence)
    records = rolling.analysis.metrics if rolling.analysis else ()
    before = next((one for one in records if one.name == metric.name), None)
    answers = {name: _answer(scene, analysis, metric, name) for name in _revisions(scene, rolling, metric)}
    for name, answer in answers.items():
        if answer.error:
            who = "the new revision" if name == new else "the stable one"
            words = f"{metric.name}: cannot be found out of {who}: {answer.error}"
            kept = before or Measurement(name=metric.name, verdict=Verdict.ERROR)
            return kept.model_copy(update={"verdict": Verdict.ERROR, "message": words})
    if isinstance(said := answers[new], Opinion):
        return Measurement(name=metric.name, verdict=said.verdict, message=f"{metric.name}: {said.words}")
    return judge(
        metric,
        together(before.new if before else None, said.sampled),
        together(before.stable if before else None, answers.get(stable, Answer()).sampled),
        analysis.confidence,
    )


def _answer(scene: Scene, analysis: Analysis, metric: AnalysisMetric, revision: str) -> Answer:
    if metric.source.job is not None:
        return checks.answer(scene, metric) or Answer()
    question = _question(scene, analysis, metric, revision)
    if isinstance(question, Answer):
        return question
    return scene.seen.answers[question] if question is not None else Answer()


def _told(scene: Scene, rolling: Rollout, metric: AnalysisMetric, revision: str) -> Sampled | None:
    """What lies in the cluster of a revision since both get requests."""
    assert rolling.analysis
    source: Source = metric.source.chosen
    start, now = rolling.analysis.start_time, scene.now.replace(microsecond=0)
    found = source.summary(Evidence(metric.name, revision, start, now - start, now, scene.seen.series))
    if found is None or not found.count:
        return None
    return Sampled(found.count, found.sum / found.count, found.minimum, found.maximum)


def unanswered(scene: Scene) -> str | None:
    """Why the rollout is held, since there has been no answer for too long: a reason."""
    rolling = scene.memory.rollout
    record = rolling.analysis if rolling else None
    if record is None or not scene.stage.analysed or scene.passed:
        return None
    return _too_long(scene, record)


def _too_long(scene: Scene, record: AnalysisStatus) -> str | None:
    analysis = scene.stage.analysis
    if analysis is None:
        return None
    if record.errors > analysis.consecutive_error_limit:
        return "AnalysisError"
    return "AnalysisInconclusive" if record.inconclusive > analysis.inconclusive_limit else None


def _words(record: AnalysisStatus) -> str:
    return "; ".join(one.message for one in record.metrics if one.verdict == record.verdict)


def _condemned(scene: Scene) -> Turn | None:
    """The looks that found a limit not kept, or no answer, are too many."""
    rolling, analysis = scene.memory.rollout, scene.stage.analysis
    record = rolling.analysis if rolling else None
    if rolling is None or record is None or analysis is None:
        return None
    words = _words(record)
    if record.failures > analysis.failure_limit and record.verdict is Verdict.FAIL:
        return rolled_back(scene, rolling, "AnalysisFailed", words)
    reason = _too_long(scene, record)
    if reason and analysis.on_inconclusive is OnInconclusive.ROLL_BACK:
        return rolled_back(scene, rolling, reason, f"without an answer for too long: {words}")
    return None


ANALYSIS: Sequence[Callable[[Scene], Turn | None]] = (_condemned, _measured)
