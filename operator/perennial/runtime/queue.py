"""The queue of keys to reconcile: each at most once in it and once at work, oldest first, with delays and backoff."""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_STALE = 1000


class Queue(Generic[K]):
    """Keys that wait, are delayed, or are at work. For one event loop; `clock` is monotonic seconds."""

    def __init__(
        self,
        *,
        base: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._base = base
        self._clock = clock
        self._jitter = jitter
        self._ready: dict[K, float] = {}
        self._working: dict[K, float] = {}
        self._dirty: set[K] = set()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._ready)

    def __iter__(self) -> Iterator[K]:
        """The keys that wait, oldest first."""
        return iter(self._ready)

    def add(self, key: K, after: float = 0.0) -> None:
        """Have the key reconciled, `after` seconds from now at the latest. A key at work is reconciled once more."""
        if after > 0:
            self._delay(key, self._clock() + after)
        elif key in self._working:
            self._dirty.add(key)
        elif key not in self._ready:
            self._ready[key] = self._clock()
            self._wake()

    def retry(self, key: K, *, least: float = 0.0, cap: float = 30.0) -> float:
        """Put the key back with the delay of its number of failures in a row, `least` to `cap` seconds. The delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(cap, self._base * 2.0 ** min(failures, 30)) * (0.5 + self._jitter() / 2)
        delay = max(least, delay)
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """The next failure of this key is its first."""
        self._failures.pop(key, None)

    async def get(self) -> tuple[K, float]:
        """The key that waited longest, and for how many seconds. It is at work until `done`."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # A waiter that was woken and cancelled at once must pass the turn on.
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._ready:
                    self._wake()
                raise
        key = next(iter(self._ready))
        since = self._ready.pop(key)
        self._due.pop(key, None)
        now = self._clock()
        self._working[key] = now
        if self._ready:
            self._wake()
        return key, now - since

    def done(self, key: K) -> None:
        """The key is not at work any more; what came in meanwhile is for the next worker."""
        del self._working[key]
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def longest_at_work(self) -> float:
        """Seconds since the oldest running reconcile began; 0 when none runs."""
        return self._clock() - min(self._working.values()) if self._working else 0.0

    def longest_waiting(self) -> float:
        """Seconds since the oldest waiting key was added; 0 when none waits."""
        return self._clock() - next(iter(self._ready.values())) if self._ready else 0.0

    def _delay(self, key: K, when: float) -> None:
        if when >= self._due.get(key, float("inf")):
            return
        self._due[key] = when
        self._sequence += 1
        if len(self._heap) > 2 * len(self._due) + _STALE:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (when, self._sequence, key))
        if self._heap[0][0] == when:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            delay = max(0.0, self._heap[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            # An entry that was replaced or dropped stays in the heap until its time, and is passed over.
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
        self._set_timer()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
