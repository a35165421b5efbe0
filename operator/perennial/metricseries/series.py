"""Folds reported samples into the buckets of a MetricSeries, and sums up a window of them.

A sample counts in exactly one bucket: of a minute for an hour, then of a quarter of an hour until it is 12 hours old,
then of a day (UTC) until it is 30 days old. Each bucket is merged into the next coarser one when its time has come, so
a window of any length is the union of what lies in it, and nothing counts twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perennial.api.base import Body
from perennial.metricseries.book import Book, Full, buckets
from perennial.metricseries.sample import Sample

__all__ = ["Full", "Sample", "Summary", "fold", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was reported in a window. `sum / count` is the mean, weighted by the samples' counts.

    `last` is the value with the highest timestamp, `last_time`; `first_time` is the start of the first bucket.
    """

    count: int
    sum: float
    minimum: float
    maximum: float
    last: float
    last_time: datetime
    first_time: datetime


def fold(body: Body | None, samples: Sequence[Sample], now: datetime) -> Body:
    """The MetricSeries with the samples in it; `body` is not changed. None begins a new one (without metadata).

    The samples' times are within what is kept (`sample.mistimed`); those of the near future count as of now.
    Raises Full when there is no room for one more series; then nothing is folded.
    """
    book = Book.read(body)
    # In this order the last of several values of the same second is the one that was measured last.
    for index, sample in sorted(enumerate(samples), key=lambda item: item[1].time):
        book.add(index, sample, now)
    return {**(body or {}), "status": book.write(now)}


def summarise(body: Body, metric: str, revision: str, start: datetime, end: datetime) -> Summary | None:
    """What was reported of one metric of one revision from `start` to `end`; None when nothing was.

    A bucket counts when its start lies in the window, both ends included. So no sample before `start` ever counts, and
    the edge is as fine as the buckets are there: a minute in a window of up to an hour that ends now, a quarter of an
    hour in one of up to 12 hours, else a day.
    """
    first, last = start.timestamp(), end.timestamp()
    found = [one for one in buckets(body, metric, revision) if first <= one.start <= last]
    if not found:
        return None
    total = found[0]
    for bucket in found[1:]:
        total = total.plus(bucket)
    return Summary(
        total.count,
        total.sum,
        total.minimum,
        total.maximum,
        total.last,
        datetime.fromtimestamp(total.last_time, start.tzinfo),
        datetime.fromtimestamp(min(bucket.start for bucket in found), start.tzinfo),
    )
