"""In which order records are written: fair to those who ask for it, however many records one asks for."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue for each party, first in first out; the parties take turns.

    Several parties may wait for the same: each has it in its queue.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[str, dict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, party: str, one: T) -> None:
        """Put something at the end of a party's queue, if it is not in it."""
        self._queues.setdefault(party, {})[one] = None

    def take(self) -> T:
        """What is next. KeyError when nothing is."""
        party, queue = self._queues.popitem(last=False)
        one = next(iter(queue))
        del queue[one]
        if queue:
            self._queues[party] = queue
        return one

    def before(self, party: str) -> int:
        """How many turns come, at most, before that of what the party would now add."""
        own = len(self._queues.get(party, ()))
        return own + sum(min(len(queue), own + 1) for other, queue in self._queues.items() if other != party)
