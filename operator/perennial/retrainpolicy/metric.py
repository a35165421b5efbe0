"""Looks at a metric trigger: has the value of the served model crossed the limit, and for long enough?"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from perennial.api.base import parse_duration
from perennial.api.modeldeployment import ModelDeploymentStatus, Promotion
from perennial.api.retrainpolicy import (
    Aggregate,
    Cause,
    MetricTrigger,
    Run,
    RunPhase,
    Trigger,
    TriggerState,
    TriggerStatus,
)
from perennial.metricseries.sample import KEPT
from perennial.retrainpolicy.book import UNDER_WAY
from perennial.retrainpolicy.look import Look, Sight
from perennial.sources import Evidence, Source, Summary


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a metric trigger."""
    metric, now = trigger.metric, sight.now.replace(microsecond=0)
    assert metric
    rule = describe(metric)
    window = parse_duration(metric.window)
    if not timedelta() < window <= KEPT:
        words = f"metric.window: {metric.window} cannot be looked back; samples are kept for 30 days: at most 720h"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, rule=rule, message=words))
    promotion = stable(sight.serving)
    if promotion is None:
        words = "waits until the deployment serves a model"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule, message=words))

    source: Source = metric.source.chosen
    evidence = Evidence(metric.name, promotion.revision, promotion.time, window, now, sight.series)
    summary = source.summary(evidence)
    count = summary.count if summary else 0
    wakes = [source.wakes(evidence)] if summary else []
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule, samples=count)
    if summary is None or count < metric.min_samples:
        words = f"{count} of at least {metric.min_samples} samples of {promotion.revision} in {metric.window}"
        return Look(row.model_copy(update={"message": words}), wakes=tuple(wakes))

    value = _value(metric.aggregate, summary)
    words = f"{metric.name} is {value:.6g} ({metric.aggregate} of {count} samples in {metric.window})"
    row = row.model_copy(update={"value": float(f"{value:.6g}")})
    if not _crossed(metric, value):
        row = row.model_copy(update={"state": TriggerState.OK, "message": f"{words}, {_limit(metric, 'not ')}"})
        return Look(row, wakes=tuple(wakes))

    words = f"{words}, {_limit(metric)}"
    since = _crossed_since(sight.before, rule, promotion.time) or now
    enough = since + parse_duration(metric.for_)
    row = row.model_copy(update={"crossed_since": since, "state": TriggerState.CROSSED, "message": words})
    if now < enough:
        return Look(row.model_copy(update={"message": f"{words}; not yet for {metric.for_}"}), wakes=(*wakes, enough))
    firing = row.model_copy(update={"state": TriggerState.FIRING})
    if answer := _answer(trigger.name, since, sight.runs):
        words = f"{words}; run {answer.number} deals with it"
        return Look(firing.model_copy(update={"message": words}), wakes=tuple(wakes))
    cause = Cause(
        trigger=trigger.name,
        type="Metric",
        message=words,
        metric=metric.name,
        value=row.value,
        limit=metric.below if metric.below is not None else metric.above,
        samples=count,
        window=metric.window,
        revision=promotion.revision,
    )
    return Look(row, cause, since, started=firing, wakes=tuple(wakes))


def describe(metric: MetricTrigger) -> str:
    """The rule in words; another text is another rule."""
    held = f" for {metric.for_}" if parse_duration(metric.for_) else ""
    at_least = f", at least {metric.min_samples} samples" if metric.min_samples > 1 else ""
    return f"{metric.aggregate} {metric.name} over {metric.window} {_limit(metric)}{held}{at_least}"


def stable(serving: ModelDeploymentStatus) -> Promotion | None:
    """The promotion of the revision that is served."""
    return next((one for one in serving.promotions if one.revision == serving.stable_revision), None)


def _value(aggregate: Aggregate, summary: Summary) -> float:
    match aggregate:
        case Aggregate.AVERAGE:
            return summary.sum / summary.count
        case Aggregate.MIN:
            return summary.minimum
        case Aggregate.MAX:
            return summary.maximum
        case Aggregate.SUM:
            return summary.sum
        case Aggregate.COUNT:
            return summary.count
        case Aggregate.LAST:
            return summary.last


def _crossed(metric: MetricTrigger, value: float) -> bool:
    if metric.below is not None:
        return value < metric.below
    return metric.above is not None and value > metric.above


def _limit(metric: MetricTrigger, negation: str = "") -> str:
    if metric.below is not None:
        return f"{negation}below {metric.below:g}"
    return f"{negation}above {metric.above:g}"


def _crossed_since(before: TriggerStatus | None, rule: str, promoted: datetime) -> datetime | None:
    """When the present crossing began, if it was seen before: by this rule, and with the model that is served now."""
    if before is None or before.rule != rule or before.crossed_since is None or before.crossed_since < promoted:
        return None
    return before.crossed_since


def _answer(trigger: str, since: datetime, runs: Iterable[Run]) -> Run | None:
    """The run that deals with a crossing: one under way that it set off or that began after it, or a dry one."""
    for run in runs:
        if run.phase in UNDER_WAY and (run.cause.trigger == trigger or run.start_time >= since):
            return run
        if run.phase is RunPhase.DRY_RUN and run.start_time >= since:
            return run
    return None
