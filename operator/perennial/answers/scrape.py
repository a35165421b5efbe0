"""Reads counters from pods' pages of metrics, and tells by how much they grew.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from perennial.answers.page import read
from perennial.questions import Answer, Counter, Sampled, Scrape

_REMEMBERED = 10_000
_Totals = tuple[float, float]


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
        if part > whole:
            names = f"{question.numerator.metric} grew more than {question.denominator.metric}"
            raise ValueError(f"{names}: it is no part of it")
        return Answer(Sampled(round(whole), part / whole, 0.0, 1.0) if whole >= 1 else None)

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
    """The sums of two counters on a page. ValueError when it has no series of the second."""
    part, whole = (list(_values(page, counter)) for counter in wanted)
    if not whole:
        raise ValueError(f"there is no {wanted[1].metric} with these labels among its metrics")
    return sum(part), sum(whole)


def _values(page: str, counter: Counter) -> Iterable[float]:
    # The parser is slow, and a page may be long.
    lines = "".join(f"{line}\n" for line in page.splitlines() if line.startswith(counter.metric))
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            labels = sample.labels
            matches = all(fnmatchcase(labels.get(name, ""), pattern) for name, pattern in counter.labels)
            if sample.name == counter.metric and matches:
                yield sample.value
