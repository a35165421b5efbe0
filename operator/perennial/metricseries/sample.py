"""A reported sample, and when it comes too early or too late to count."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT = timedelta(days=30)
# Clocks differ: what comes from the near future counts as of now.
EARLY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Sample:
    """`value` of a metric, being the mean of `count` measurements, at `time` (seconds since 1970)."""

    name: str
    value: float
    time: float
    revision: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the sample at `index` of a report, and with which field of it."""

    index: int
    field: str
    message: str


def mistimed(samples: Iterable[Sample], now: datetime) -> Iterator[Problem]:
    """The samples whose timestamps are out of what is kept."""
    for index, sample in enumerate(samples):
        ahead = sample.time - now.timestamp()
        if ahead > EARLY.total_seconds():
            words = f"{_span(ahead)} ahead: more than 5 minutes in the future. Unix timestamps are in seconds"
            yield Problem(index, "timestamp", words)
        elif -ahead > KEPT.total_seconds():
            yield Problem(index, "timestamp", f"{_span(-ahead)} old: samples are kept for 30 days")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
