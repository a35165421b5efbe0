"""A token bucket for each of many: so many at once, and then one more each so many seconds."""

import time
from collections import OrderedDict
from collections.abc import Callable


class TokenBuckets:
    """`burst` tokens for each, of which one comes back every `refill` seconds. The `size` last ones are remembered."""

    def __init__(
        self, burst: int, refill: float, *, size: int = 4096, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = float(burst)
        self._refill = refill
        self._size = size
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, whose: str) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        tokens, at = self._buckets.get(whose, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) / self._refill)
        taken = tokens >= 1
        self._buckets[whose] = (tokens - taken, now)
        self._buckets.move_to_end(whose)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return taken
