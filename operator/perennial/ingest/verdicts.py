"""Answers that are remembered for a while; who asks for the same at the same time shares one question."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Entry(Generic[V]):
    task: "asyncio.Task[V]"
    until: float = float("inf")
    waiting: int = 0
    good: bool = True


class Verdicts(Generic[K, V]):
    """Verdicts by key, the last `size` of them.

    Good ones hold for `seconds`, empty ones half as long, errors not at all.
    """

    def __init__(self, *, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The verdict on the key. Raises what asking raised."""
        entry = self._entries.get(key)
        if entry is None or entry.until <= self._clock():
            entry = self._ask(key, ask)
        entry.waiting += 1
        try:
            # One who hangs up takes nothing from the others who wait.
            return await asyncio.shield(entry.task)
        finally:
            entry.waiting -= 1
            if not entry.waiting and not entry.task.done():
                # Else those who ask and hang up would pile up questions.
                entry.task.cancel()
                self._forget(key, entry)

    def knows(self, key: K) -> bool:
        """Whether the verdict on the key was good when it was last asked for, or is just being asked for."""
        entry = self._entries.get(key)
        return entry is not None and entry.good

    def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> _Entry[V]:
        async def asking() -> V:
            return await ask()

        entry = _Entry(asyncio.create_task(asking()))
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

        def answered(task: "asyncio.Task[V]") -> None:
            if task.cancelled() or task.exception():
                self._forget(key, entry)
            else:
                entry.good = bool(task.result())
                entry.until = self._clock() + (self._seconds if entry.good else self._seconds / 2)

        entry.task.add_done_callback(answered)
        return entry

    def _forget(self, key: K, entry: _Entry[V]) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
