"""The bounded pool: so many run, so many wait, the rest is told to come back."""

import asyncio
import threading

import pytest

from perennial.server.errors import RequestError
from perennial.server.pool import PredictionPool


async def test_beyond_threads_and_queue_a_request_is_refused_until_a_place_is_free() -> None:
    gate = threading.Event()
    pool = PredictionPool(threads=1, queue=2)
    waiting = [asyncio.create_task(pool.run(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    assert pool.in_flight == 3
    with pytest.raises(RequestError) as caught:
        await pool.run(gate.wait)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert await pool.run(lambda: "again") == "again"
    assert pool.in_flight == 0


async def test_a_failed_prediction_gives_its_place_back() -> None:
    pool = PredictionPool(threads=1, queue=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
    assert pool.in_flight == 0
