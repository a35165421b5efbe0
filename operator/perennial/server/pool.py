"""Predictions in a bounded pool of threads, so that the event loop always answers health checks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from perennial.server.errors import RequestError

T = TypeVar("T")


class PredictionPool:
    """`threads` predictions run at once and `queue` more wait; beyond that a request is refused with 503."""

    def __init__(self, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._places = threads + queue
        self.in_flight = 0

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`; RequestError 503 with Retry-After when every place is taken."""
        if self.in_flight >= self._places:
            raise RequestError(503, "QueueFull", "too many predictions are waiting", retry_after=1)
        self.in_flight += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.in_flight -= 1
