"""Looks at a trigger of concept drift: a Job says whether a metric changed since the served version was promoted.

What it found last stands in the status, and is what is known until the next look.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from perennial.api.base import format_time, parse_duration
from perennial.api.conceptdrift import SIGNIFICANCE, THRESHOLD, TOLERANCE, ConceptDriftTrigger
from perennial.api.detect import Detected, Detector, DetectTask, Direction, Span, parse_detected
from perennial.api.modeldeployment import Promotion
from perennial.api.retrainpolicy import Cause, ConceptDriftSeen, TriggerState, TriggerStatus
from perennial.api.trigger import Trigger
from perennial.jobs import agent_job
from perennial.metricseries.book import buckets
from perennial.plan import Body
from perennial.pods import agent_container
from perennial.retrainpolicy import crossing
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.visit import beside, follow, labels, told, visit
from perennial.sources.reported import edge

_CONTAINER = "detect"
_LIMITS: Body = {"backoffLimit": 1, "activeDeadlineSeconds": 900, "ttlSecondsAfterFinished": 600}


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a trigger of concept drift."""
    concept, promotion = trigger.concept_drift, sight.promotion
    assert concept
    rule = describe(concept)
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule)
    if promotion is None:
        return Look(row.model_copy(update={"message": "waits until the deployment serves a model"}))
    if sight.before and (sight.before.rule != rule or sight.before.look_revision != promotion.revision):
        # What an earlier revision showed is none of its matter.
        sight = replace(sight, before=None)
    row = row.model_copy(update={"look_revision": promotion.revision})
    spans = _spans(concept, promotion, sight)
    samples = sum(span.count for span in spans)
    if samples < concept.min_samples:
        words = f"{samples} of at least {concept.min_samples} samples of {promotion.revision}"
        return Look(row.model_copy(update={"message": words, "samples": samples}))

    def make(name: str) -> Body:
        return _job(concept, spans, sight, name)

    of, every = [promotion.revision, concept.told()], parse_duration(concept.every)
    went = visit(sight, trigger.name, rule, of, every, _CONTAINER, make)
    answer = told(went, _CONTAINER, parse_detected)
    seen = sight.before.concept_drift if sight.before else None
    if isinstance(answer, Detected):
        seen = _seen(answer, sight.now)

    def judge(row: TriggerStatus) -> Look:
        return _found(trigger, concept, promotion, row, sight)

    return follow(sight, row, went, answer, {"concept_drift": seen}, "cannot be looked at", judge)


def describe(concept: ConceptDriftTrigger) -> str:
    """The rule in words; another text is another rule."""
    way = {Direction.DOWN: " down", Direction.UP: " up", Direction.BOTH: ""}[concept.direction]
    return (
        f"a change of {concept.metric}{way} since the promotion, every {concept.every}: {_detector(concept)}, "
        f"at least {concept.min_samples} samples"
    )


def _detector(concept: ConceptDriftTrigger) -> str:
    task = _task(concept, ())
    if concept.detector is Detector.ADWIN:
        return f"{concept.detector}, significance {task.significance:g}"
    return f"{concept.detector}, threshold {task.threshold:g}, tolerance {task.tolerance:g}"


def _task(concept: ConceptDriftTrigger, spans: Sequence[Span]) -> DetectTask:
    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    return DetectTask(
        spans=tuple(spans),
        detector=concept.detector,
        significance=given(concept.significance, SIGNIFICANCE),
        threshold=given(concept.threshold, THRESHOLD),
        tolerance=given(concept.tolerance, TOLERANCE),
    )


def _spans(concept: ConceptDriftTrigger, promotion: Promotion, sight: Sight) -> list[Span]:
    """What was reported of the served revision since its promotion."""
    begin = edge(promotion.time, sight.now).timestamp()
    found = buckets(sight.series, concept.metric, promotion.revision) if sight.series else []
    return [
        Span(start=one.start, count=one.count, mean=one.sum / one.count)
        for one in sorted(found, key=lambda one: one.start)
        if one.start >= begin
    ]


def _found(
    trigger: Trigger,
    concept: ConceptDriftTrigger,
    promotion: Promotion,
    row: TriggerStatus,
    sight: Sight,
) -> Look:
    """What follows from what a Job saw."""
    seen = row.concept_drift
    assert seen
    update = {"last_look_time": seen.time, "value": seen.after, "samples": seen.samples}
    row = row.model_copy(update=update)
    words, is_cause = _words(concept, seen)
    if not is_cause:
        return Look(row.model_copy(update={"state": TriggerState.OK, "message": words}))
    begun = crossing.since(sight.before, row.rule, promotion.time) or seen.time
    row = row.model_copy(update={"crossed_since": begun, "state": TriggerState.CROSSED, "message": words})
    firing = row.model_copy(update={"state": TriggerState.FIRING})
    if answer := crossing.answer(trigger.name, begun, sight.runs):
        return Look(firing.model_copy(update={"message": f"{words}; run {answer.number} deals with it"}))
    cause = Cause(
        trigger=trigger.name,
        type="ConceptDrift",
        message=words,
        metric=concept.metric,
        value=seen.after,
        limit=seen.before,
        samples=seen.samples,
        revision=promotion.revision,
        concept_drift=seen,
    )
    return Look(row, cause, begun, started=firing)


def _words(concept: ConceptDriftTrigger, seen: ConceptDriftSeen) -> tuple[str, bool]:
    """What was seen, and whether it is a cause: of several changes the last counts, as one that changed back."""
    by = f"({_detector(concept)}; {seen.samples} samples)"
    if seen.change_time is None or seen.before is None or seen.after is None:
        return f"{concept.metric} has not changed since the promotion {by}", False
    fell = seen.after < seen.before
    how = f"{'fell' if fell else 'rose'} from {seen.before:.6g} to {seen.after:.6g}"
    words = f"{concept.metric} {how} at {format_time(seen.change_time)} {by}"
    if concept.direction in (Direction.BOTH, Direction.DOWN if fell else Direction.UP):
        return words, True
    return f"{words}: no cause (direction {concept.direction})", False


def _seen(answer: Detected, now: datetime) -> ConceptDriftSeen:
    last = answer.last
    return ConceptDriftSeen(
        time=now.replace(microsecond=0),
        samples=answer.samples,
        changes=answer.changes,
        change_time=datetime.fromtimestamp(last.start, UTC) if last else None,
        before=last.before if last else None,
        after=last.after if last else None,
    )


def _job(concept: ConceptDriftTrigger, spans: Sequence[Span], sight: Sight, name: str) -> Body:
    container = agent_container(_CONTAINER, "detect", _task(concept, spans), sight.config, storage=None, mounts=())
    # It reads no store.
    container.pop("envFrom")
    return agent_job(beside(sight, name), labels(sight), container, (), _LIMITS)
