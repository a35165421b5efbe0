"""Accelerator-hours: what trainings ask for and how long they have it, how much of that a period has, and when less.

Everything is in whole seconds. A training that was suspended counts as if it had run on to its end without a break:
never for shorter than it should.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Self

from perennial.api.base import MOST, parse_duration
from perennial.api.retrainpolicy import MAX_PAST_USE, AcceleratorUse, Budget, Run
from perennial.api.trainingjob import Distribution, TrainingJobStatus
from perennial.config import Config
from perennial.plan import Body
from perennial.pods import overlay
from perennial.retrainpolicy.book import Book
from perennial.retrainpolicy.snapshot import Snapshot
from perennial.subject import read_status

_PARTS = MAX_PAST_USE - 1
_CLOCKS = ("runningSince", "runningSeconds", "completionTime")
_FACTORS = {"k": 1000.0, "m": 0.001}


def asked_for(training: Body, config: Config) -> int | None:
    """How many accelerators the pods of a TrainingJob with this spec ask for. None when its preset is not known."""
    template = training.get("template") or {}
    if training.get("runtime"):
        preset = config.training_runtimes.get(training["runtime"])
        if preset is None:
            return None
        template = overlay(preset.template, template)
    pod = template.get("spec") or {}
    together: Counter[str] = Counter()
    # One after the other, and before the others: they have the same devices.
    before: Counter[str] = Counter()
    for container in pod.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            together.update(_devices(container))
        else:
            before |= Counter(_devices(container))
    for container in pod.get("containers") or ():
        together.update(_devices(container))
    nodes = Distribution.model_validate(training.get("distribution") or {}).pods
    return min((together | before).total() * nodes, MOST)


def meter(snapshot: Snapshot, book: Book, config: Config) -> None:
    """Write down what the trainings of all runs used by now, and what the next one asks for."""
    book.accelerators = asked_for(snapshot.template, config)
    for run in book.runs:
        use = metered(run, snapshot.job_of(run), config, book.now)
        if use != run.accelerator_use:
            book.meter(run, use)


def metered(run: Run, job: Body | None, config: Config, now: datetime) -> AcceleratorUse | None:
    """What the training of a run used by now. Of one that was deleted while it ran: until now."""
    known = run.accelerator_use
    if job is None:
        return known and _ended(known, now)
    told = job.get("status") or {}
    clocks = read_status(TrainingJobStatus, {field: told[field] for field in _CLOCKS if field in told})
    if clocks.running_since is None and clocks.running_seconds is None:
        return known and _ended(known, now)
    # A preset that changes later changes nothing of what was used.
    each = known.accelerators if known else asked_for(job["spec"], config)
    if not each:
        return known
    seconds = max(known.accelerator_seconds if known else 0, min(each * (clocks.running_seconds or 0), MOST))
    if clocks.running_since:
        return AcceleratorUse(accelerators=each, accelerator_seconds=seconds, since=clocks.running_since)
    if known and known.until and known.accelerator_seconds == seconds:
        return known
    until = min(clocks.completion_time or now, now)
    return AcceleratorUse(accelerators=each, accelerator_seconds=seconds, until=until)


def used(uses: Iterable[AcceleratorUse], per: timedelta, now: datetime) -> int:
    """Accelerator-seconds in the period that ends now."""
    return _used(_stretches(uses, now), int(per.total_seconds()), _second(now))


def room(uses: Iterable[AcceleratorUse], allowed: int, per: timedelta, now: datetime) -> datetime | None:
    """The first second at which the period has less than the allowed accelerator-seconds, if what runs goes on; None
    when it has as much until something that runs ends. Now it has as much."""
    stretches, period, first = _stretches(uses, now), int(per.total_seconds()), _second(now)
    # Between two of these seconds the sum changes evenly.
    bounds = {bound for one in stretches for bound in (one.begin, one.end) if bound is not None}
    turns = sorted({first, *(turn for bound in bounds for turn in (bound, bound + period) if turn > first)})
    for begin, end in pairwise(turns):
        there, left = _used(stretches, period, begin), _used(stretches, period, end)
        if left < allowed:
            each = (there - left) // (end - begin)
            return datetime.fromtimestamp(begin + (there - allowed) // each + 1, UTC)
    return None


def kept(uses: Iterable[AcceleratorUse], budget: Budget | None, now: datetime) -> list[AcceleratorUse]:
    """What is remembered of runs that are not. Those of one part of the period are one, and end with its last."""
    if budget is None or budget.accelerator_hours is None:
        return []
    period, second = int(parse_duration(budget.per).total_seconds()), _second(now)
    parts: dict[int, AcceleratorUse] = {}
    for use in uses:
        ended = _ended(use, now)
        until = _second(ended.until or now)
        if period and until + period > second:
            part = min(until, second) * _PARTS // period
            parts[part] = _sum(parts[part], ended) if part in parts else ended
    return [parts[part] for part in sorted(parts)]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A training that had its accelerators from the one second to the other; without an end it goes on."""

    accelerators: int
    begin: int
    end: int | None

    @classmethod
    def of(cls, use: AcceleratorUse, now: datetime) -> Self:
        last = use.since or use.until or now
        begin = _second(last) - math.ceil(use.accelerator_seconds / use.accelerators)
        return cls(use.accelerators, begin, None if use.since else _second(last))


def _stretches(uses: Iterable[AcceleratorUse], now: datetime) -> list[_Stretch]:
    return [_Stretch.of(use, now) for use in uses]


def _used(stretches: Sequence[_Stretch], period: int, second: int) -> int:
    total = 0
    for one in stretches:
        end = second if one.end is None else min(one.end, second)
        total += one.accelerators * max(0, end - max(one.begin, second - period))
    return total


def _ended(use: AcceleratorUse, now: datetime) -> AcceleratorUse:
    """The same of a training that does not run any more."""
    if use.since is None:
        return use if use.until else use.model_copy(update={"until": now})
    more = use.accelerators * max(0, _second(now) - _second(use.since))
    seconds = min(use.accelerator_seconds + more, MOST)
    return AcceleratorUse(accelerators=use.accelerators, accelerator_seconds=seconds, until=max(now, use.since))


def _sum(one: AcceleratorUse, other: AcceleratorUse) -> AcceleratorUse:
    """Two that have ended as one, of which at no time less is left than of the two."""
    ends = [use.until for use in (one, other) if use.until]
    return AcceleratorUse(
        accelerators=min(one.accelerators + other.accelerators, MOST),
        accelerator_seconds=min(one.accelerator_seconds + other.accelerator_seconds, MOST),
        until=max(ends),
    )


def _devices(container: Mapping[str, Any]) -> dict[str, int]:
    """The extended resources of a container, as Kubernetes tells them from its own."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return {
        name: _whole(quantity)
        for name, quantity in limits.items()
        if "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")
    }


def _whole(quantity: Any) -> int:
    """A number of devices: Kubernetes takes only whole ones, in any of the ways to write them that people use."""
    text = str(quantity)
    factor = _FACTORS.get(text[-1:])
    try:
        number = float(text[:-1]) * factor if factor else float(text)
    except ValueError:
        return 0
    return min(math.ceil(number), MOST) if 0 < number < math.inf else 0


def _second(time: datetime) -> int:
    return int(time.timestamp())
