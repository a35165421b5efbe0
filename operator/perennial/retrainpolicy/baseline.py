"""What the limits of a metric trigger are relative to: the record of the served version, or what it first showed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import Body, format_time, parse_duration
from perennial.api.modeldeployment import Promotion
from perennial.api.retrainpolicy import TriggerStatus
from perennial.api.trigger import Baseline, By, MetricTrigger, Outside, RelativeTo


@dataclass(frozen=True, slots=True)
class Base:
    """The baseline and what it is, in words; or, without a value, why there is none yet, and when there may be."""

    value: float | None
    words: str
    until: datetime | None = None


def find(
    metric: MetricTrigger,
    relative: RelativeTo,
    promotion: Promotion,
    versions: Sequence[Body],
    before: float | None,
    value: float,
    begun: datetime,
    now: datetime,
) -> Base:
    """The baseline. `before`: the one that the served revision showed already; `value`: what it shows now; `begun`:
    since when that is known."""
    if relative.baseline is Baseline.RECORDED:
        found = _recorded(relative.metric or metric.name, promotion, versions)
    else:
        found = _shown(metric, before, value, begun, now)
    if found.value is not None and found.value <= 0 and relative.by is By.RATIO:
        return Base(None, f"the baseline is {found.value:g}, of which there is no ratio: give relativeTo.by Difference")
    return found


def kept(before: TriggerStatus | None, rule: str, promotion: Promotion) -> float | None:
    """The baseline that the row of the last look has, if it is of this rule and of the revision that serves."""
    if before is None or before.rule != rule or before.baseline_revision != promotion.revision:
        return None
    return before.baseline


def absolute(metric: MetricTrigger, relative: RelativeTo, base: float) -> MetricTrigger:
    """The trigger with limits that are relative to nothing."""
    by: Callable[[float], float] = base.__add__ if relative.by is By.DIFFERENCE else base.__mul__

    def limit(value: float | None) -> float | None:
        return None if value is None else float(by(value))

    outside = metric.outside and Outside(below=float(by(metric.outside.below)), above=float(by(metric.outside.above)))
    return metric.model_copy(
        update={
            "below": limit(metric.below),
            "above": limit(metric.above),
            "outside": outside,
            "recover_above": limit(metric.recover_above),
            "recover_below": limit(metric.recover_below),
        }
    )


def words(relative: RelativeTo) -> str:
    """As part of a rule."""
    of = f" {relative.metric}" if relative.metric else ""
    return f" relative to {relative.baseline}{of} by {relative.by}"


def _recorded(name: str, promotion: Promotion, versions: Sequence[Body]) -> Base:
    if promotion.version is None:
        return Base(None, "what is served is no ModelVersion: no metric of it is on record")
    for version in versions:
        spec, called = version["spec"], version["metadata"]["name"]
        if (spec["model"], spec["version"]) == (promotion.model, promotion.version):
            value = (spec.get("metrics") or {}).get(name)
            if value is None:
                return Base(None, f"ModelVersion {called} has no metric {name} on record")
            return Base(float(value), f"{value:g} on record")
    return Base(None, f"ModelVersion {promotion.version} of {promotion.model} is gone, and with it what was on record")


def _shown(metric: MetricTrigger, before: float | None, value: float, begun: datetime, now: datetime) -> Base:
    if before is not None:
        return Base(before, f"{before:g} at first")
    whole = begun + _back(metric)
    if now < whole:
        return Base(None, f"gathers its baseline until {format_time(whole)}", whole)
    return Base(float(f"{value:.6g}"), "its baseline from now on")


def _back(metric: MetricTrigger) -> timedelta:
    return parse_duration(metric.window) + parse_duration(metric.label_delay)
