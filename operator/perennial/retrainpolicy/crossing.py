"""The limit of a trigger: whether a value crosses it, since when, which run deals with it, and how that is said."""

from collections.abc import Iterable
from datetime import datetime

from perennial.api.retrainpolicy import Run, RunPhase, TriggerStatus
from perennial.api.trigger import MetricTrigger
from perennial.retrainpolicy.book import UNDER_WAY


def sides(metric: MetricTrigger) -> tuple[float | None, float | None]:
    """What a value must not be below, and what it must not be above."""
    return (metric.outside.below, metric.outside.above) if metric.outside else (metric.below, metric.above)


def crossed(metric: MetricTrigger, value: float, *, before: bool = False) -> bool:
    """Whether the value is beyond the limit; `before`: whether it was, and is to recover first."""
    below, above = sides(metric)
    if before and metric.recover_above is not None:
        return value <= metric.recover_above
    if before and metric.recover_below is not None:
        return value >= metric.recover_below
    return (below is not None and value < below) or (above is not None and value > above)


def limit(metric: MetricTrigger, value: float) -> float | None:
    """The limit that a value which crossed it goes by."""
    below, above = sides(metric)
    return above if below is None or (above is not None and value > above) else below


def words(metric: MetricTrigger, negation: str = "") -> str:
    """The limit in words: `not below 0.9`."""
    below, above = sides(metric)
    if below is not None and above is not None:
        return f"{negation}outside of {below:g} to {above:g}"
    return f"{negation}below {below:g}" if below is not None else f"{negation}above {above:g}"


def recovery(metric: MetricTrigger) -> str:
    """What ends a crossing, in words, where that is not the limit; else empty."""
    if metric.recover_above is not None:
        return f"until above {metric.recover_above:g}"
    return f"until below {metric.recover_below:g}" if metric.recover_below is not None else ""


def since(before: TriggerStatus | None, rule: str, promoted: datetime) -> datetime | None:
    """When the present crossing began, if it was seen before: by this rule, and with the model that is served now."""
    if before is None or before.rule != rule or before.crossed_since is None or before.crossed_since < promoted:
        return None
    return before.crossed_since


def answer(trigger: str, begun: datetime, runs: Iterable[Run]) -> Run | None:
    """The run that deals with a crossing: one under way that it set off or that began after it, or a dry one."""
    for run in runs:
        if run.phase in UNDER_WAY and (run.cause.trigger == trigger or run.start_time >= begun):
            return run
        if run.phase is RunPhase.DRY_RUN and run.start_time >= begun:
            return run
    return None
