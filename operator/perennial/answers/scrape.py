"""Reads counters from pods' pages of metrics, and tells by how much they grew.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import isfinite

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from perennial.answers.counted import Counted, Totals
from perennial.answers.page import read
from perennial.questions import Answer, Counter, Sampled, Scrape

_REMEMBERED = 10_000
# What the series of a histogram or a summary add to its name, and a counter's in the format of OpenMetrics.
_SUFFIXES = ("", "_bucket", "_count", "_sum", "_total")


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is known of the same counters of the same pods. One look at a time: else what was read first might come in
    last, and look like a container that was started again."""

    counted: Counted
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)


class Scraper:
    """Remembers what each pod's counters were: what a pod had counted before it is first asked does not count."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._memories: dict[object, _Memory] = {}

    async def answer(self, question: Scrape) -> Answer:
        """The part of the one in the other. An error when no page can be read, else those that can be count."""
        memory = self._memory(question)
        async with memory.alone:
            part, whole = memory.counted.look(question.at, await self._pages(question))
        since = memory.counted.since
        if part > whole and question.mean is None:
            names = f"{question.numerator.metric} grew more than {question.denominator.metric}"
            raise ValueError(f"{names}: it is no part of it")
        if whole < 1:
            return Answer(since=since)
        if question.mean is None:
            return Answer(Sampled(round(whole), part / whole, 0.0, 1.0), since=since)
        mean = part / whole * question.mean
        # How the single ones lie around a mean is not known: where many such are put together, it is one sample,
        # whatever it is of.
        return Answer(Sampled(round(whole) if question.window else 1, mean, mean, mean), since=since)

    def _memory(self, question: Scrape) -> _Memory:
        # Another rollout begins anew: what the stable pods counted meanwhile says nothing of it.
        key = (question.of, question.since, question.numerator, question.denominator, question.window)
        memory = self._memories.pop(key, None) or _Memory(Counted(question.window))
        self._memories[key] = memory
        if len(self._memories) > _REMEMBERED:
            del self._memories[next(iter(self._memories))]
        return memory

    async def _pages(self, question: Scrape) -> dict[str, Totals]:
        """What the pages say that can be read, by the uids of their pods."""
        wanted = (question.numerator, question.denominator)
        found = await asyncio.gather(*(self._page(url, wanted) for _, url in question.pages), return_exceptions=True)
        pages = {
            uid: page
            for (uid, _), page in zip(question.pages, found, strict=True)
            if not isinstance(page, BaseException)
        }
        if not pages:
            raise next(page for page in found if isinstance(page, BaseException))
        return pages

    async def _page(self, url: str, wanted: tuple[Counter, Counter]) -> Totals:
        async with self._session.get(url, allow_redirects=False) as response:
            page = await read(response)
        return totals(page.decode(errors="replace"), wanted)


def totals(page: str, wanted: tuple[Counter, Counter]) -> Totals:
    """The sums of two counters on a page. ValueError when it does not have the second."""
    numerator, denominator = wanted
    samples, there = _read(page, {*numerator.names, *denominator.names})
    if missing := [name for name in denominator.names if name not in there]:
        raise ValueError(f"there is no {' and no '.join(missing)} among its metrics")
    part, whole = _sum(samples, numerator), _sum(samples, denominator)
    if not isfinite(part + whole):
        raise ValueError(f"{numerator.metric} or {denominator.metric} is no finite number")
    return Totals(part, whole)


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
