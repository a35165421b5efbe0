"""Whether a limit holds of what was predicted."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from perennial.agent.evaluation.metrics import LOWER_IS_BETTER, lead, least_lead, surely_better, value
from perennial.agent.evaluation.values import Pairs
from perennial.agent.failure import TaskFailed
from perennial.api.evaluate import Limit, Measured
from perennial.api.task import Reason

_MOST_VALUES = 100
_LENGTH = 32


def measured(limit: Limit, pairs: Pairs, confidence: float, segment: Sequence[str | None] | None) -> Measured:
    """What the limit is about, and which of its fields do not hold. segment: the value of each row in its column; the
    limit then holds of each value with enough rows, or does not.

    TaskFailed for a segment of too many values.
    """
    if segment is None:
        return _measured(limit, pairs, confidence)
    parts = {name: pairs.of(rows) for name, rows in _parts(limit, segment)}
    if not parts:
        return Measured(missed=("minRows",), rows=len(pairs))
    found = [_measured(limit, part, confidence, name) for name, part in parts.items()]
    worst = min(found, key=lambda one: (not one.missed, _standing(limit, one)))
    if limit.max_gap is None:
        return worst
    values = [one.value for one in found if one.value is not None]
    gap = max(values) - min(values) if values else math.nan
    # The limit is of decimal numbers that people wrote.
    held = gap <= limit.max_gap or math.isclose(gap, limit.max_gap, rel_tol=1e-9)
    missed = worst.missed if held else (*worst.missed, "maxGap")
    return worst.model_copy(update={"missed": missed, "gap": _short(gap)})


def _parts(
    limit: Limit, segment: Sequence[str | None]
) -> Iterator[tuple[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]]:
    column = np.array(["" if one is None else one for one in segment], dtype=object)
    names, counts = np.unique(column.astype(str), return_counts=True)
    enough = [str(name) for name, count in zip(names, counts, strict=True) if count >= limit.min_rows]
    if len(enough) > _MOST_VALUES:
        words = (
            f"segment {limit.segment} has {len(enough)} values with enough rows, at most {_MOST_VALUES} can be asked"
        )
        raise TaskFailed(Reason.INPUT_INVALID, words)
    for name in enough:
        yield name, column == name


def _measured(limit: Limit, pairs: Pairs, confidence: float, segment: str | None = None) -> Measured:
    now, before = (value(limit.name, pairs.labels, one) for one in (pairs.challenger, pairs.champion))
    relative = limit.no_worse_than_champion_by is not None or limit.better_than_champion_by is not None
    least = least_lead(limit.name, pairs, confidence) if relative else math.nan
    return Measured(
        missed=tuple(_missed(limit, pairs, confidence, now, least)),
        segment=None if segment is None else segment[:_LENGTH],
        rows=len(pairs),
        value=_short(now),
        champion=_short(before),
        at_least=_short(least),
    )


def _missed(limit: Limit, pairs: Pairs, confidence: float, now: float, least: float) -> Iterator[str]:
    # What is not defined holds nothing.
    if limit.min is not None and not now >= limit.min:
        yield "min"
    if limit.max is not None and not now <= limit.max:
        yield "max"
    if limit.no_worse_than_champion_by is not None and not least >= -limit.no_worse_than_champion_by:
        yield "noWorseThanChampionBy"
    effect = limit.better_than_champion_by
    if effect is not None:
        ahead = lead(limit.name, pairs)
        enough = ahead >= effect or math.isclose(ahead, effect, rel_tol=1e-9)
        if not enough or not surely_better(limit.name, pairs, confidence, least):
            yield "betterThanChampionBy"


def _standing(limit: Limit, one: Measured) -> float:
    """The less, the worse."""
    if one.at_least is not None:
        return one.at_least
    if one.value is None:
        return -math.inf
    return -one.value if limit.name in LOWER_IS_BETTER else one.value


def _short(number: float) -> float | None:
    return float(f"{number:.4g}") if math.isfinite(number) else None
