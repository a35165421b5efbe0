"""How a rollout is looked at while its revision gets requests, and what follows from that."""

from collections.abc import Callable, Sequence

from perennial.analysis import AnalysisMetric, AnalysisStatus, Measurement, OnInconclusive, Verdict
from perennial.analysis.judge import judge, looked
from perennial.api.modeldeployment import Rollout
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.turn import Turn, about, rolled_back, rolling_on
from perennial.sources import Evidence, Source


def begins(scene: Scene) -> bool:
    """Whether something is asked of the new revision, and there is a stable one beside it."""
    return scene.stage.analysis is not None and scene.stable is not None and scene.arrived


def _measured(scene: Scene) -> Turn | None:
    """It is time for a look."""
    rolling, analysis, due = scene.memory.rollout, scene.stage.analysis, scene.next_look
    if rolling is None or rolling.analysis is None or analysis is None or due is None or scene.now < due:
        return None
    found = [_judged(scene, rolling, metric, analysis.confidence) for metric in analysis.metrics]
    before, after = rolling.analysis, looked(rolling.analysis, found)
    events = []
    if after.verdict != before.verdict:
        failed = after.verdict is Verdict.FAIL
        events.append(about(scene, rolling, f"Analysis{after.verdict}", _words(after), warning=failed))
    return rolling_on(scene, rolling, *events, analysis=after.model_copy(update={"last_time": scene.now}))


def _judged(scene: Scene, rolling: Rollout, metric: AnalysisMetric, confidence: float) -> Measurement:
    source: Source = metric.source.chosen
    new = source.summary(_evidence(scene, rolling, metric, rolling.revision))
    stable = source.summary(_evidence(scene, rolling, metric, scene.stable or ""))
    return judge(metric, new, stable, confidence)


def _evidence(scene: Scene, rolling: Rollout, metric: AnalysisMetric, revision: str) -> Evidence:
    """What was measured of a revision since both get requests."""
    assert rolling.analysis
    start, now = rolling.analysis.start_time, scene.now.replace(microsecond=0)
    return Evidence(metric.name, revision, start, now - start, now, scene.seen.series)


def unanswered(scene: Scene) -> bool:
    """Whether the rollout is held since there has been no answer for too long."""
    rolling, analysis = scene.memory.rollout, scene.stage.analysis
    record = rolling.analysis if rolling else None
    if record is None or analysis is None or not scene.stage.analysed or scene.passed:
        return False
    return record.inconclusive > analysis.inconclusive_limit


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
    back = analysis.on_inconclusive is OnInconclusive.ROLL_BACK
    if back and record.inconclusive > analysis.inconclusive_limit:
        return rolled_back(scene, rolling, "AnalysisInconclusive", f"without an answer for too long: {words}")
    return None


ANALYSIS: Sequence[Callable[[Scene], Turn | None]] = (_condemned, _measured)
