"""By how much counters of some pods grew: since the look before, or in a window until now.

It is remembered for as long as the process lives; with the next one it begins anew.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from typing import NamedTuple

# So many parts of a window are told apart.
_PARTS = 30
# More than are asked at one look: pods come and go, and some come again.
_PODS = 64


class Totals(NamedTuple):
    """What a page says of two counters: of the one that is a part of the other, or a sum, and of the whole."""

    part: float
    whole: float

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return Totals(self.part + other.part, self.whole + other.whole)


_NONE = Totals(0.0, 0.0)


class Counted:
    """The same two counters of the same pods, look by look. `window`: how far back they are told; None: since the look
    before. `since`: of a window, when it was first looked at; what was counted before is not known."""

    def __init__(self, window: timedelta | None) -> None:
        self.since: datetime | None = None
        self._window = window
        self._before: dict[str, tuple[datetime, Totals]] = {}
        # What was counted in each part of the window, by its number.
        self._parts: deque[tuple[int, Totals]] = deque()

    def look(self, at: datetime, pages: Mapping[str, Totals]) -> Totals:
        """What was counted, now that the pages say this, by the uids of their pods.

        What a pod had counted before it is first asked does not count; what one that is gone had counted does.
        """
        if self._window is None:
            return self._grown(at, pages)
        part = int(at.timestamp() * _PARTS // self._window.total_seconds())
        while self._parts and self._parts[0][0] <= part - _PARTS:
            self._parts.popleft()
        if not self._parts:
            # Nobody looked for a whole window.
            self._before.clear()
            self.since = at
        grown = self._grown(at, pages)
        if self._parts and self._parts[-1][0] >= part:
            part, before = self._parts.pop()
            grown = grown.plus(before)
        self._parts.append((part, grown))
        return _sum(counted for _, counted in self._parts)

    def _grown(self, at: datetime, pages: Mapping[str, Totals]) -> Totals:
        grown = _sum(self._grown_of(uid, at, now) for uid, now in pages.items())
        while len(self._before) > _PODS:
            del self._before[next(iter(self._before))]
        return grown

    def _grown_of(self, uid: str, at: datetime, now: Totals) -> Totals:
        time, before = self._before.pop(uid, (at, now))
        self._before[uid] = at, now
        if self._window and at - time >= self._window:
            return _NONE
        # A container that was started again counts from 0.
        again = now.whole < before.whole
        part, whole = now if again else (now.part - before.part, now.whole - before.whole)
        return Totals(max(0.0, part), whole)


def _sum(totals: Iterable[Totals]) -> Totals:
    return reduce(Totals.plus, totals, _NONE)
