"""The series of one record while they are worked on: which may be there, how they age, and how they stay small."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from perennial.api.base import Body, format_time, parse_time
from perennial.api.metricseries import MAX_BYTES, MAX_SERIES
from perennial.metricseries.bucket import DAY, Bucket, read
from perennial.metricseries.sample import Problem, Sample


class Tier(NamedTuple):
    """Buckets of `step` seconds; `keep` of them are kept besides the one that is being filled."""

    name: str
    step: int
    keep: int


TIERS = (Tier("minutes", 60, 60), Tier("quarters", 900, 48), Tier("days", DAY, 30))
# What metadata, managed fields and the frame of the record take.
_FRAME = 3 * 1024


class Full(Exception):
    """There is no room for one more series. `problem` names the sample."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Series:
    metric: str
    revision: str
    updated: datetime
    tiers: tuple[dict[int, Bucket], ...] = field(default_factory=lambda: tuple({} for _ in TIERS))

    def buckets(self) -> Iterator[Bucket]:
        for tier in self.tiers:
            yield from tier.values()

    def put(self, level: int, bucket: Bucket) -> None:
        start = bucket.start - bucket.start % TIERS[level].step
        before = self.tiers[level].get(start)
        empty = Bucket(start, 0, 0.0, bucket.minimum, bucket.maximum, bucket.last, start)
        self.tiers[level][start] = (before or empty).plus(bucket)

    def age(self, now: float, halvings: int = 0) -> None:
        """Merge what is old into coarser buckets, and forget the oldest. Each halving keeps half as many buckets."""
        for level, tier in enumerate(TIERS):
            until = now - now % tier.step - (tier.keep >> halvings) * tier.step
            for start in sorted(self.tiers[level]):
                if start >= until:
                    break
                bucket = self.tiers[level].pop(start)
                if level + 1 < len(TIERS):
                    self.put(level + 1, bucket)

    def write(self) -> dict[str, Any]:
        lines = {
            tier.name: [buckets[start].write(tier.step) for start in sorted(buckets)]
            for tier, buckets in zip(TIERS, self.tiers, strict=True)
            if buckets
        }
        return {"metric": self.metric, "revision": self.revision, "updated": format_time(self.updated), **lines}


class Book:
    """All series of a record, in the order in which they were first seen."""

    def __init__(self, series: Iterable[_Series] = ()) -> None:
        self._series = {(one.metric, one.revision): one for one in series}

    @classmethod
    def read(cls, body: Body | None) -> Self:
        """What a record holds. A line that somebody broke by hand is left out."""
        return cls(map(_read, _rows(body)))

    def add(self, index: int, sample: Sample, now: datetime) -> None:
        """Count a sample. Full when it would need one series too many."""
        key = sample.name, sample.revision
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(*key, now)
            if len(self._series) > MAX_SERIES:
                self._evict(index, sample)
        series.updated = now
        moment = int(min(sample.time, now.timestamp()))
        value = float(f"{sample.value:.9g}")
        series.put(0, Bucket(moment, sample.count, value * sample.count, value, value, value, moment))

    def write(self, now: datetime) -> Body:
        """The record's status, aged to `now` and small enough."""
        for series in self._series.values():
            series.age(now.timestamp())
        rows = {key: series.write() for key, series in self._series.items() if any(series.tiers)}
        sizes = {key: _size(row) for key, row in rows.items()}
        halvings = dict.fromkeys(rows, 0)
        while sum(sizes.values()) > MAX_BYTES - _FRAME:
            # The largest gives way, so that a dense series never pushes out one of few samples. Its newest stays.
            key = max(sizes, key=lambda one: sizes[one])
            halvings[key] += 1
            series = self._series[key]
            series.age(max(bucket.last_time for bucket in series.buckets()), halvings[key])
            rows[key] = series.write()
            sizes[key] = _size(rows[key])
        return {"updated": format_time(now), "series": list(rows.values())}

    def _evict(self, index: int, sample: Sample) -> None:
        """Give up the series that was not reported for longest, but none of the newest revision nor of the sample's."""
        newest = list(dict.fromkeys(series.revision for series in self._series.values()))[-1]
        spared = {newest, sample.revision}
        others = [key for key, series in self._series.items() if series.revision not in spared]
        if not others:
            words = (
                f"no room for metric {sample.name!r} of revision {sample.revision!r}: a ModelDeployment has at most "
                f"{MAX_SERIES} series (metrics x revisions)"
            )
            raise Full(Problem(index, "name", words))
        del self._series[min(others, key=lambda key: self._series[key].updated)]


def buckets(body: Body, metric: str, revision: str) -> list[Bucket]:
    """The buckets of one series of a record, in no order."""
    rows = (row for row in _rows(body) if (row["metric"], row["revision"]) == (metric, revision))
    return [bucket for row in rows for bucket in _read(row).buckets()]


def _rows(body: Body | None) -> list[Body]:
    return ((body or {}).get("status") or {}).get("series") or []


def _read(row: Body) -> _Series:
    tiers = tuple(
        {bucket.start: bucket for line in row.get(tier.name) or () if (bucket := read(line))} for tier in TIERS
    )
    return _Series(row["metric"], row["revision"], _time(row.get("updated")), tiers)


def _time(text: str | None) -> datetime:
    try:
        return parse_time(text or "")
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _size(row: Body) -> int:
    return len(json.dumps(row, separators=(",", ":"))) + 1
