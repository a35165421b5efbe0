"""Looks at a metric trigger: has the value of the served model crossed the limit, and for long enough?"""

from collections.abc import Iterable
from dataclasses import replace
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
from perennial.retrainpolicy import crossing
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
    windows = metric.breaches.of if metric.breaches else 1
    if window * windows > KEPT:
        words = f"metric.breaches: {windows} windows of {metric.window} cannot be looked back; at most 720h in all"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, rule=rule, message=words))
    evidence = Evidence(metric.name, promotion.revision, promotion.time, window, now, sight.series, windows)
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
    began = _crossed_since(sight.before, rule, promotion.time)
    crossed, seen = _judged(metric, source, evidence, value, before=began is not None)
    words = f"{words}, {seen}"
    if not crossed:
        return Look(row.model_copy(update={"state": TriggerState.OK, "message": words}), wakes=tuple(wakes))

    since = began or now
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
        limit=crossing.limit(metric, value),
        samples=count,
        window=metric.window,
        revision=promotion.revision,
    )
    return Look(row, cause, since, started=firing, wakes=tuple(wakes))


def describe(metric: MetricTrigger) -> str:
    """The rule in words; another text is another rule."""
    held = f" for {metric.for_}" if parse_duration(metric.for_) else ""
    if metric.breaches:
        held = f" in {metric.breaches.at_least} of the last {metric.breaches.of} windows"
    recovery = f" {crossing.recovery(metric)}".rstrip()
    at_least = f", at least {metric.min_samples} samples" if metric.min_samples > 1 else ""
    return f"{metric.aggregate} {metric.name} over {metric.window} {crossing.words(metric)}{recovery}{held}{at_least}"


def _judged(
    metric: MetricTrigger, source: Source, evidence: Evidence, value: float, *, before: bool
) -> tuple[bool, str]:
    """Whether the limit is crossed, in enough windows, and what was seen, in words."""
    beyond = crossing.crossed(metric, value, before=before)
    if beyond and not crossing.crossed(metric, value):
        seen = f"not yet {crossing.recovery(metric).removeprefix('until ')} again"
    else:
        seen = crossing.words(metric, "" if beyond else "not ")
    if metric.breaches is None:
        return beyond, seen
    summaries = [source.summary(replace(evidence, ago=ago)) for ago in range(1, metric.breaches.of)]
    values = [_value(metric.aggregate, one) for one in summaries if one and one.count >= metric.min_samples]
    number = beyond + sum(crossing.crossed(metric, one, before=before) for one in values)
    return number >= metric.breaches.at_least, f"{seen}; crossed in {number} of the last {metric.breaches.of} windows"


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
