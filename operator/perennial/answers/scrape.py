"""Reads counters from pods' pages of metrics, and tells by how much they grew.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from math import isfinite

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from perennial.answers.page import read
from perennial.questions import Answer, Counter, Sampled, Scrape

_REMEMBERED = 10_000
_Totals = tuple[float, float]
# What the series of a histogram or a summary add to its name, and a counter's in the format of OpenMetrics.
_SUFFIXES = ("", "_bucket", "_count", "_sum", "_total")


class Scraper:
    """Remembers what each pod's counters were: what a pod had counted before it is first asked does not count."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._before: dict[tuple[str, datetime, Counter, Counter], _Totals] = {}

    async def answer(self, question: Scrape) -> Answer:
        """The part of the one in the other. An error when no page can be read, else those that can be count."""
        pages = await asyncio.gather(
            *(self._grown(uid, url, question) for uid, url in question.pages), return_exceptions=True
        )
        grown = [page for page in pages if not isinstance(page, BaseException)]
        if not grown:
            raise next(page for page in pages if isinstance(page, BaseException))
        part, whole = (sum(one[which] for one in grown) for which in (0, 1))
        if part > whole and question.mean is None:
            names = f"{question.numerator.metric} grew more than {question.denominator.metric}"
            raise ValueError(f"{names}: it is no part of it")
        if whole < 1:
            return Answer()
        if question.mean is None:
            return Answer(Sampled(round(whole), part / whole, 0.0, 1.0))
        # How the single ones lie around a mean is not known: it is one sample, whatever it is of.
        mean = part / whole * question.mean
        return Answer(Sampled(1, mean, mean, mean))

    async def _grown(self, uid: str, url: str, question: Scrape) -> _Totals:
        async with self._session.get(url, allow_redirects=False) as response:
            page = await read(response)
        wanted = (question.numerator, question.denominator)
        now = totals(page.decode(errors="replace"), wanted)
        # Another rollout begins anew: what the stable pods counted meanwhile says nothing of it.
        key = (uid, question.since, *wanted)
        before = self._before.pop(key, now)
        self._before[key] = now
        if len(self._before) > _REMEMBERED:
            del self._before[next(iter(self._before))]
        # A container that was started again counts from 0.
        again = now[1] < before[1]
        part, whole = (now[which] - (0.0 if again else before[which]) for which in (0, 1))
        return max(0.0, part), whole


def totals(page: str, wanted: tuple[Counter, Counter]) -> _Totals:
    """The sums of two counters on a page. ValueError when it does not have the second."""
    numerator, denominator = wanted
    samples, there = _read(page, {*numerator.names, *denominator.names})
    if missing := [name for name in denominator.names if name not in there]:
        raise ValueError(f"there is no {' and no '.join(missing)} among its metrics")
    part, whole = _sum(samples, numerator), _sum(samples, denominator)
    if not isfinite(part + whole):
        raise ValueError(f"{numerator.metric} or {denominator.metric} is no finite number")
    return part, whole


def _read(page: str, names: set[str]) -> tuple[list[Sample], set[str]]:
    """The samples of these names, and which of them the page has. Many clients begin a series with the first request
    that has its labels: until then the type of the metric is all that there is, and it counts as 0."""
    # The parser is slow, and a page may be long.
    lines: list[str] = []
    there: set[str] = set()
    beginnings = tuple(names)
    for line in page.splitlines():
        if line.startswith(beginnings):
            lines.append(f"{line}\n")
        elif line.startswith("# TYPE "):
            family = line.split()[2:3]
            there.update(f"{name}{suffix}" for name in family for suffix in _SUFFIXES)
    found = (sample for family in text_string_to_metric_families("".join(lines)) for sample in family.samples)
    samples = [sample for sample in found if sample.name in names]
    return samples, there | {sample.name for sample in samples}


def _sum(samples: Iterable[Sample], counter: Counter) -> float:
    return sum(
        sample.value
        for sample in samples
        if sample.name in counter.names
        and all(fnmatchcase(sample.labels.get(name, ""), pattern) for name, pattern in counter.labels)
    )
