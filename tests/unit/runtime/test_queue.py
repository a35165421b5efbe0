"""The queue: one at a time per key, oldest first, delays, backoff, and never a lost wake-up."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.runtime.queue import Queue


@pytest.fixture
def queue():
    return Queue(jitter=lambda: 1.0)


async def taken(queue, seconds=1.0):
    async with asyncio.timeout(seconds):
        return (await queue.get())[0]


async def test_oldest_first_and_once(queue):
    for key in "abab":
        queue.add(key)
    assert [await taken(queue), await taken(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_at_work_is_not_given_out_twice_and_comes_again(queue):
    queue.add("a")
    await taken(queue)
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        await taken(queue, 0.01)
    queue.done("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_a_delay_passes_and_the_earliest_counts(queue):
    queue.add("late", after=0.05)
    queue.add("late", after=30)
    queue.add("soon", after=0.01)
    assert len(queue) == 0
    assert [await taken(queue), await taken(queue)] == ["soon", "late"]


async def test_a_wake_up_replaces_a_later_one(queue):
    queue.add("a", after=0.03)
    queue.add("a")
    await taken(queue)
    queue.done("a")
    with pytest.raises(TimeoutError):
        await taken(queue, 0.06)


async def test_a_delay_asked_for_at_work_outlives_the_work(queue):
    queue.add("a")
    await taken(queue)
    queue.add("a", after=0.01)
    queue.done("a")
    assert await taken(queue) == "a"


async def test_backoff_doubles_to_its_cap_and_ends_with_success(queue):
    assert [queue.retry("a", cap=0.03) for _ in range(5)] == [0.005, 0.01, 0.02, 0.03, 0.03]
    queue.succeeded("a")
    assert queue.retry("a") == 0.005
    assert queue.retry("b", least=2.0) == 2.0


async def test_jitter_spreads_over_the_upper_half():
    assert Queue(jitter=lambda: 0.0).retry("a") == 0.0025


async def test_a_cancelled_worker_loses_no_key(queue):
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(1):
        assert (await second)[0] == "a"


async def test_it_knows_for_how_long_keys_wait_and_are_worked_on():
    now = 0.0
    queue = Queue(clock=lambda: now)
    assert (queue.longest_waiting(), queue.longest_at_work()) == (0.0, 0.0)
    queue.add("a")
    now = 3.0
    assert queue.longest_waiting() == 3.0
    assert await queue.get() == ("a", 3.0)
    now = 10.0
    assert (queue.longest_waiting(), queue.longest_at_work()) == (0.0, 7.0)


async def test_replaced_delays_do_not_pile_up(queue):
    for _ in range(5000):
        queue.add("a", after=100)
        queue.add("a")
        await taken(queue)
        queue.done("a")
    assert len(queue._heap) < 3000


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.001, 0.002])), max_size=30))
def test_every_key_is_worked_on_after_its_last_addition(additions):
    async def play():
        queue, at_work, log = Queue(), set(), []

        async def worker():
            while True:
                key, _ = await queue.get()
                assert key not in at_work
                at_work.add(key)
                log.append(("work", key))
                await asyncio.sleep(0)
                at_work.discard(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(2)]
        for key, after in additions:
            log.append(("add", key))
            queue.add(key, after)
            await asyncio.sleep(0)
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if not (queue._due or len(queue) or at_work):
                break
        for task in workers:
            assert not task.done()
            task.cancel()
        for key in {key for key, _ in additions}:
            assert [entry for entry in log if entry[1] == key][-1] == ("work", key)

    asyncio.run(play())
