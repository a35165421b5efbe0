"""Looks at a metric trigger: has the value of the served model crossed the limit, and for long enough?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perennial.api.base import format_time, parse_duration
from perennial.api.modeldeployment import Promotion
from perennial.api.retrainpolicy import Cause, TriggerState, TriggerStatus
from perennial.api.trigger import Aggregate, MetricTrigger, Trigger
from perennial.errands import objection
from perennial.metricseries.sample import KEPT
from perennial.retrainpolicy import asking, baseline, crossing, evaluator
from perennial.retrainpolicy.asking import EVERY
from perennial.retrainpolicy.look import Look, Sight, turn
from perennial.sources import Asked, Evaluator, Evidence, Source, Summary


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a metric trigger."""
    found, metric, promotion = _look(trigger, sight), trigger.metric, sight.promotion
    assert metric
    if metric.source.job:
        asked = evaluator.rehearsed(metric.source.job, sight)
        found = replace(found, questions=(*found.questions, asked))
        if words := objection(sight.answers.get(asked), "metric.source.job"):
            wrong = {"state": TriggerState.INVALID, "message": words}
            return Look(found.row.model_copy(update=wrong), questions=found.questions)
    before = baseline.kept(sight.before, describe(metric), promotion) if promotion else None
    if promotion is None or before is None or found.row.baseline is not None:
        return found
    # While there is nothing to compare it with, too.
    known = {"baseline": before, "baseline_revision": promotion.revision}
    return replace(found, row=found.row.model_copy(update=known))


def _look(trigger: Trigger, sight: Sight) -> Look:
    metric, now = trigger.metric, sight.now.replace(microsecond=0)
    assert metric
    rule = describe(metric)
    window = parse_duration(metric.window)
    if not timedelta() < window <= KEPT:
        words = f"metric.window: {metric.window} cannot be looked back; samples are kept for 30 days: at most 720h"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, rule=rule, message=words))
    promotion = sight.promotion
    if promotion is None:
        words = "waits until the deployment serves a model"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule, message=words))

    if isinstance(metric.source.chosen, Asked):
        return _asked(trigger, metric.source.chosen, sight, promotion)
    if metric.source.job:
        return _evaluated(trigger, metric.source.job, sight, promotion)
    source: Source = metric.source.chosen
    windows, delay = metric.breaches.of if metric.breaches else 1, parse_duration(metric.label_delay)
    if window * windows + delay > KEPT:
        words = f"metric.breaches: {windows} windows of {metric.window} cannot be looked back; at most 720h in all"
        return Look(TriggerStatus(name=trigger.name, state=TriggerState.INVALID, rule=rule, message=words))
    evidence = Evidence(metric.name, promotion.revision, promotion.time, window, now, sight.series, delay)
    summary = source.summary(evidence)
    wakes = (source.wakes(evidence),) if summary else ()
    if summary is None or summary.count < metric.min_samples:
        return _too_few(trigger, promotion, summary.count if summary else 0, wakes)
    value = _value(metric.aggregate, summary)
    found = f"{metric.aggregate} of {summary.count} samples in {metric.window}{_until(metric)}"

    def judge(bounds: MetricTrigger, before: bool) -> tuple[bool, str]:
        return _judged(bounds, source, evidence, value, before=before)

    return _found(trigger, sight, promotion, _Value(value, summary.count, found, judge), wakes)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value, of how many samples it is, and how it came about, in words.

    judge: whether it crosses the limits of a trigger, where it did or did not before, and what was seen, in words.
    since: since when it is known, where that is less than the window.
    """

    value: float
    samples: int
    origin: str
    judge: Callable[[MetricTrigger, bool], tuple[bool, str]]
    since: datetime | None = None


def _asked(trigger: Trigger, source: Asked, sight: Sight, promotion: Promotion) -> Look:
    """The same of a source that is asked."""
    metric = trigger.metric
    assert metric
    begin = turn(f"{sight.namespace}/{sight.deployment}/{trigger.name}", sight.now, EVERY)
    rule, told = describe(metric), promotion.time + parse_duration(metric.label_delay)
    if begin <= told and parse_duration(metric.label_delay):
        return _no_truth_yet(trigger, rule, told)
    asked, wakes = asking.ask(metric, source, sight, promotion, begin), (begin + EVERY,)
    if asked.pending and sight.before is not None and sight.before.rule == rule:
        return Look(sight.before, wakes=wakes, questions=asked.questions)
    if asked.words:
        state = TriggerState.UNAVAILABLE if asked.away else TriggerState.WAITING
        row = TriggerStatus(name=trigger.name, state=state, rule=rule, message=asked.words)
        return Look(row, wakes=wakes, questions=asked.questions)
    found = asked.sampled
    if found is None or found.count < metric.min_samples:
        few = _too_few(trigger, promotion, found.count if found else 0, wakes, asked.back)
        return replace(few, questions=asked.questions)
    back = asked.back or (f" in {metric.window}" if metric.source.pods else "")
    mean, origin = found.mean, f"{_samples(found.count)} by {metric.source.option}{back}"

    def judge(bounds: MetricTrigger, before: bool) -> tuple[bool, str]:
        return _side(bounds, mean, before=before)

    value = _Value(mean, found.count, origin, judge, asked.since)
    return replace(_found(trigger, sight, promotion, value, wakes), questions=asked.questions)


def _evaluated(trigger: Trigger, job: Evaluator, sight: Sight, promotion: Promotion) -> Look:
    """The same of a source that is a Job."""
    metric = trigger.metric
    assert metric
    rule, told = describe(metric), promotion.time + parse_duration(metric.label_delay)
    if sight.now <= told and parse_duration(metric.label_delay):
        return _no_truth_yet(trigger, rule, told)
    seen = evaluator.measured(trigger, metric, job, rule, sight)
    wakes = (seen.wake,) if seen.wake and seen.wake > sight.now else ()
    if seen.time is None:
        state = TriggerState.UNAVAILABLE if seen.away else TriggerState.WAITING
        words = f"is measured at {format_time(seen.due)}" if seen.idle and seen.due else seen.words
        row = TriggerStatus(name=trigger.name, state=state, rule=rule, message=words)
        before = sight.before if sight.before and sight.before.rule == rule else None
        if before and before.state is TriggerState.UNAVAILABLE and not seen.away:
            # Until the next look has ended.
            row = before
        found = Look(row, wakes=wakes)
    elif seen.value is None or seen.samples < metric.min_samples:
        found = _too_few(trigger, promotion, seen.samples, wakes)
    else:
        measured = seen.value

        def judge(bounds: MetricTrigger, before: bool) -> tuple[bool, str]:
            return _side(bounds, measured, before=before)

        origin = f"{_samples(seen.samples)} by a Job at {format_time(seen.time)}"
        found = _found(trigger, sight, promotion, _Value(measured, seen.samples, origin, judge), wakes)
    looks = {"next_look_time": seen.due, "last_look_time": seen.time, "look_revision": promotion.revision}
    started = found.started and found.started.model_copy(update=looks)
    return replace(found, row=found.row.model_copy(update=looks), started=started, create=seen.create)


def _no_truth_yet(trigger: Trigger, rule: str, told: datetime) -> Look:
    words = f"waits until {format_time(told)} for the truth of what it predicts (metric.labelDelay)"
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule, message=words)
    return Look(row, wakes=(told + EVERY,))


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _too_few(trigger: Trigger, promotion: Promotion, count: int, wakes: tuple[datetime, ...], back: str = "") -> Look:
    metric = trigger.metric
    assert metric
    back = f"{back}, the first look" if back else f" in {metric.window}{_until(metric)}"
    words = f"{count} of at least {metric.min_samples} samples of {promotion.revision}{back}"
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=describe(metric), samples=count)
    return Look(row.model_copy(update={"message": words}), wakes=wakes)


def _found(trigger: Trigger, sight: Sight, promotion: Promotion, seen: _Value, wakes: tuple[datetime, ...]) -> Look:
    """What follows from a value."""
    metric, now = trigger.metric, sight.now.replace(microsecond=0)
    assert metric
    rule, value = describe(metric), float(f"{seen.value:.6g}")
    row = TriggerStatus(name=trigger.name, state=TriggerState.OK, rule=rule, samples=seen.samples, value=value)
    bounds, compared = metric, ""
    if metric.relative_to:
        shown = baseline.kept(sight.before, rule, promotion)
        begun = max(promotion.time, seen.since or promotion.time, sight.rebaselined or promotion.time)
        base = baseline.find(metric, metric.relative_to, promotion, sight.versions, shown, seen.value, begun, now)
        if base.value is None:
            waits = {"state": TriggerState.WAITING, "message": base.words}
            return Look(row.model_copy(update=waits), wakes=(*wakes, *([base.until] if base.until else [])))
        bounds, compared = baseline.absolute(metric, metric.relative_to, base.value), f" ({base.words})"
        row = row.model_copy(update={"baseline": base.value, "baseline_revision": promotion.revision})
    below, above = crossing.sides(bounds)
    row = row.model_copy(update={"below": below, "above": above})
    crossed, side = seen.judge(bounds, crossing.since(sight.before, rule, promotion.time) is not None)
    words = f"{metric.name} is {value:.6g} ({seen.origin}), {side}{compared}"
    if not crossed:
        return Look(row.model_copy(update={"message": words}), wakes=wakes)
    since = crossing.since(sight.before, rule, promotion.time) or now
    enough = since + parse_duration(metric.for_)
    row = row.model_copy(update={"crossed_since": since, "state": TriggerState.CROSSED, "message": words})
    if now < enough:
        return Look(row.model_copy(update={"message": f"{words}; not yet for {metric.for_}"}), wakes=(*wakes, enough))
    firing = row.model_copy(update={"state": TriggerState.FIRING})
    if answer := crossing.answer(trigger.name, since, sight.runs):
        words = f"{words}; run {answer.number} deals with it"
        return Look(firing.model_copy(update={"message": words}), wakes=wakes)
    cause = Cause(
        trigger=trigger.name,
        type="Metric",
        message=words,
        metric=metric.name,
        value=row.value,
        limit=crossing.limit(bounds, seen.value),
        samples=seen.samples,
        window=metric.window,
        revision=promotion.revision,
    )
    return Look(row, cause, since, started=firing, wakes=wakes)


def describe(metric: MetricTrigger) -> str:
    """The rule in words; another text is another rule."""
    held = f" for {metric.for_}" if parse_duration(metric.for_) else ""
    if metric.breaches:
        held = f" in {metric.breaches.at_least} of the last {metric.breaches.of} windows"
    recovery = f" {crossing.recovery(metric)}".rstrip()
    at_least = f", at least {metric.min_samples} samples" if metric.min_samples > 1 else ""
    against = baseline.words(metric.relative_to) if metric.relative_to else ""
    terms = f"{crossing.words(metric)}{against}{recovery}{held}{at_least}"
    if metric.source.option != "reported":
        over = f" over {metric.window}" if metric.source.pods else ""
        return f"{metric.name} by {metric.source.option}{over}{_until(metric)} {terms}"
    return f"{metric.aggregate} {metric.name} over {metric.window}{_until(metric)} {terms}"


def _until(metric: MetricTrigger) -> str:
    """What of the last time does not count yet."""
    return f" until {metric.label_delay} ago" if parse_duration(metric.label_delay) else ""


def _judged(
    metric: MetricTrigger, source: Source, evidence: Evidence, value: float, *, before: bool
) -> tuple[bool, str]:
    """Whether the limit is crossed, in enough windows, and what was seen, in words."""
    beyond, seen = _side(metric, value, before=before)
    if metric.breaches is None:
        return beyond, seen
    summaries = [source.summary(replace(evidence, ago=ago)) for ago in range(1, metric.breaches.of)]
    values = [_value(metric.aggregate, one) for one in summaries if one and one.count >= metric.min_samples]
    number = beyond + sum(crossing.crossed(metric, one, before=before) for one in values)
    return number >= metric.breaches.at_least, f"{seen}; crossed in {number} of the last {metric.breaches.of} windows"


def _side(metric: MetricTrigger, value: float, *, before: bool) -> tuple[bool, str]:
    """Whether a value is beyond the limit, and on which side of it, in words."""
    beyond = crossing.crossed(metric, value, before=before)
    if beyond and not crossing.crossed(metric, value):
        return True, f"not yet {crossing.recovery(metric).removeprefix('until ')} again"
    return beyond, crossing.words(metric, "" if beyond else "not ")


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
