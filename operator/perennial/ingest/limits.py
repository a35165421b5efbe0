"""How often somebody may ask, and how much of a room one may take."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable


class RateLimit:
    """At most `most` requests in any second, for each of many senders; refused ones do not count.

    Of the senders the `size` last ones are remembered.
    """

    def __init__(self, most: int, *, size: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._size = size
        self._clock = clock
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, sender: str) -> float:
        """0 when the sender may go on, and then it is counted; else the seconds until it may."""
        now = self._clock()
        taken = self._taken.setdefault(sender, deque(maxlen=self._most))
        self._taken.move_to_end(sender)
        if len(self._taken) > self._size:
            self._taken.popitem(last=False)
        if len(taken) == self._most and now - taken[0] < 1:
            return 1 - (now - taken[0])
        taken.append(now)
        return 0.0


def has_room(wanted: int, own: int, taken: int, most: int) -> bool:
    """Whether somebody who holds `own` of the `taken` places of a room of `most` may have `wanted` more.

    Nobody gets more than what is left to the others: one who takes all he can leaves half of the room to them.
    """
    return own + wanted <= most - taken
