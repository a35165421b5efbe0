"""Column by column: how far the current rows are from the reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from perennial.agent.drift import distances
from perennial.agent.drift.distances import TESTS, Bins, Numbers
from perennial.agent.failure import TaskFailed
from perennial.api.task import DriftMethod, Reason


@dataclass(frozen=True, slots=True)
class Column:
    """One column. score: its distance, or of tests the corrected probability; drifted: whether it is beyond `limit`."""

    name: str
    method: DriftMethod
    score: float
    drifted: bool
    bins: Bins


def columns_of(
    reference: pl.DataFrame, current: pl.DataFrame, method: DriftMethod, limit: float, columns: Sequence[str]
) -> list[Column]:
    """Every column of both, or those that are named; the farthest first.

    TaskFailed where there is none.
    """
    names = columns or [name for name in reference.columns if name in current.columns]
    if not names:
        raise TaskFailed(Reason.INPUT_NOT_FOUND, "the reference and the current data have no column in common")
    found = [_column(name, reference[name], current[name], method) for name in names]
    if tested := [one for one in found if one.method in TESTS]:
        known = dict(zip((one.name for one in tested), distances.corrected([one.score for one in tested]), strict=True))
        found = [replace(one, score=known.get(one.name, one.score)) for one in found]
    judged = [replace(one, drifted=one.score < limit if one.method in TESTS else one.score > limit) for one in found]
    return sorted(judged, key=lambda one: one.score if one.method in TESTS else -one.score)


def _column(name: str, reference: pl.Series, current: pl.Series, method: DriftMethod) -> Column:
    if reference.dtype.is_numeric() and (current.dtype.is_numeric() or current.dtype == pl.Null):
        numbers = _numbers(reference), _numbers(current)
        bins = distances.of_numbers(*numbers)
    else:
        numbers = None
        bins = distances.of_categories(_texts(reference), _texts(current))
    used, score = distances.score(method, bins, numbers)
    return Column(name, used, score, False, bins)


def _numbers(series: pl.Series) -> Numbers:
    numbers = series.cast(pl.Float64).to_numpy().astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _texts(series: pl.Series) -> list[str | None]:
    return series.cast(pl.String, strict=False).to_list()
