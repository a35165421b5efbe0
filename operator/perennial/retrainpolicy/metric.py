"""Looks at a metric trigger: has the value of the served model crossed the limit, and for long enough?"""

from collections.abc import Iterable, Sequence
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
from perennial.metricseries.series import Summary, summarise
from perennial.plan import Body
from perennial.retrainpolicy.book import UNDER_WAY
from perennial.retrainpolicy.look import Look

_MINUTE = timedelta(minutes=1)
_QUARTER = timedelta(minutes=15)
# Samples of the last hour are in buckets of a minute.
_MINUTES_KEPT = timedelta(hours=1)


def look(
    trigger: Trigger,
    before: TriggerStatus | None,
    serving: ModelDeploymentStatus,
    series: Body | None,
    runs: Sequence[Run],
    now: datetime,
) -> Look:
    """One look. `before` is the trigger's row of the last one, `runs` the policy's, newest first."""
    metric = trigger.metric
    if metric is None:
        words = "it has neither metric nor schedule"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, message=words))
    rule = describe(metric)
    window = parse_duration(metric.window)
    if not timedelta() < window <= KEPT:
        words = f"metric.window: {metric.window} cannot be looked back; samples are kept for 30 days: at most 720h"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, rule=rule, message=words))
    promotion = stable(serving)
    if promotion is None:
        words = "waits until the deployment serves a model"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule, message=words))

    summary = _summary(metric, promotion, series, window, now)
    count = summary.count if summary else 0
    # A bucket leaves the window when its minute does.
    wakes = [_floor(now, _MINUTE) + _MINUTE] if count else []
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
    since = _crossed_since(before, rule, promotion.time) or now
    enough = since + parse_duration(metric.for_)
    row = row.model_copy(update={"crossed_since": since, "state": TriggerState.CROSSED, "message": words})
    if now < enough:
        return Look(row.model_copy(update={"message": f"{words}; for {metric.for_} not yet"}), wakes=(*wakes, enough))
    firing = row.model_copy(update={"state": TriggerState.FIRING})
    if answer := _answer(trigger.name, since, runs):
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


def _summary(
    metric: MetricTrigger, promotion: Promotion, series: Body | None, window: timedelta, now: datetime
) -> Summary | None:
    """What the served revision reported in the window.

    A bucket counts when its start lies in the window, so the beginning is moved back to that of its bucket: else the
    first samples after a promotion would be left out. Buckets of a day are too coarse for that.
    """
    if series is None:
        return None
    start = max(now - window, promotion.time)
    start = _floor(start, _MINUTE if now - start <= _MINUTES_KEPT else _QUARTER)
    return summarise(series, metric.name, promotion.revision, start, now)


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % step.total_seconds())


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
