"""The lease on a clock of our own: who leads when, and when a leader must know that it does not."""

import asyncio

import pytest

from perennial.api.resources import LEASES
from perennial.kube.errors import Unavailable
from perennial.runtime.key import Key
from perennial.runtime.lease import Lease
from tests.fakes import FakeClient

KEY = Key(LEASES, "ns", "perennial")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.on_sleep = lambda: None

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def candidate(client, clock):
    return lambda name: Lease(client, "ns", "perennial", name, clock=clock, sleep=clock.sleep)


def holder(client):
    return client.objects[KEY]["spec"]["holderIdentity"]


async def test_the_first_takes_it_and_holds_it_for_the_deadline(client, clock, candidate):
    lease = candidate("a")
    assert not lease.holds()
    await lease.acquire()
    assert (holder(client), lease.holds()) == ("a", True)
    clock.seconds += 7.9
    assert lease.holds()
    clock.seconds += 0.2
    assert not lease.holds()


async def test_what_it_holds_counts_from_before_it_asked(client, clock, candidate):
    """The others count from when they see the renewal, which may be long before its answer comes."""
    lease = candidate("a")
    await lease.acquire()
    patch = client.patch

    async def answered_late(*arguments):
        written = await patch(*arguments)
        clock.seconds += 3
        return written

    client.patch = answered_late
    assert await lease._attempt(lease._renew)
    clock.seconds += 4.9
    assert lease.holds()
    clock.seconds += 0.2
    assert not lease.holds()


async def test_a_dead_holder_is_succeeded_after_its_duration_and_not_before(client, clock, candidate):
    await candidate("a").acquire()
    started = clock.seconds
    await candidate("b").acquire()
    assert holder(client) == "b"
    assert 12.0 <= clock.seconds - started <= 12.1
    assert client.objects[KEY]["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("looked", [0.0, 0.1, 1.0, 1.9])
async def test_whenever_it_looks_a_candidate_leads_within_15_seconds_and_never_while_the_other_may_write(
    client, clock, candidate, looked
):
    first, second = candidate("a"), candidate("b")
    await first.acquire()
    get = client.get

    async def slowly(*arguments):
        clock.seconds += 0.3
        return await get(*arguments)

    client.get = slowly
    assert not await second._attempt(second._take)
    # The last renewal is one that the candidate sees only at its next look.
    clock.seconds += 2 - looked
    assert await first._attempt(first._renew)
    lost = clock.seconds
    clock.seconds += looked
    alone = []
    clock.on_sleep = lambda: alone.append(first.holds())
    await second.acquire()
    assert 12.0 <= clock.seconds - lost <= 15.0
    assert not first.holds()
    assert alone[0]
    assert not alone[-1]


async def test_a_living_holder_is_not_succeeded(client, clock, candidate):
    first, second = candidate("a"), candidate("b")
    await first.acquire()
    for _ in range(50):
        assert not await second._attempt(second._take)
        assert await first._attempt(first._renew)
        clock.seconds += 2
    assert first.holds()
    assert not second.holds()


async def test_a_released_lease_is_taken_at_once(client, clock, candidate):
    first = candidate("a")
    await first.acquire()
    await first.release()
    assert not first.holds()
    before = clock.seconds
    await candidate("b").acquire()
    assert (holder(client), clock.seconds) == ("b", before)


async def test_keep_ends_when_somebody_else_took_it(client, clock, candidate):
    lease = candidate("a")
    await lease.acquire()
    taken = {"holderIdentity": "b", "leaseDurationSeconds": 15}
    clock.on_sleep = lambda: client.put({**client.objects[KEY], "spec": taken})
    await lease.keep()
    assert not lease.holds()
    assert holder(client) == "b"


async def test_keep_ends_when_it_cannot_renew_in_time(client, clock, candidate):
    lease = candidate("a")
    await lease.acquire()
    started = clock.seconds
    client.fail("patch", LEASES, Unavailable("away"), always=True)
    await lease.keep()
    assert 8.0 <= clock.seconds - started <= 10.0
    assert not lease.holds()


async def test_a_short_outage_is_survived(client, clock, candidate):
    lease = candidate("a")
    await lease.acquire()
    for _ in range(3):
        client.fail("patch", LEASES, Unavailable("away"))
    renewals = []

    def renewed():
        renewals.append(lease.holds())
        if len(renewals) > 10:
            client.fail("patch", LEASES, Unavailable("away"), always=True)

    clock.on_sleep = renewed
    await lease.keep()
    assert all(renewals[:10])


@pytest.mark.parametrize("hanging", [1, 2, 3, 4])
async def test_requests_that_hang_cost_no_lease(client, hanging):
    lease = Lease(client, "ns", "perennial", "a", duration=3.0, deadline=2.0, period=0.5)
    await lease.acquire()
    patch, asked = client.patch, []

    async def hangs_at_first(*arguments, **more):
        asked.append(lease.holds())
        if len(asked) <= hanging:
            await asyncio.sleep(30)
        return await patch(*arguments, **more)

    client.patch = hangs_at_first
    keeping = asyncio.create_task(lease.keep())
    await asyncio.sleep(3.75)
    assert lease.holds()
    assert all(asked)
    assert len(asked) > hanging + 1
    keeping.cancel()


@pytest.mark.parametrize("slow", [0.3, 0.9])
async def test_a_slow_server_costs_no_lease(client, slow):
    lease = Lease(client, "ns", "perennial", "a", duration=3.0, deadline=2.0, period=0.5)
    await lease.acquire()
    patch = client.patch

    async def slowly(*arguments, **more):
        await asyncio.sleep(slow)
        return await patch(*arguments, **more)

    client.patch = slowly
    keeping = asyncio.create_task(lease.keep())
    await asyncio.sleep(6)
    assert lease.holds()
    keeping.cancel()


async def test_an_answer_that_was_lost_is_no_loss_of_the_lease(client, clock, candidate):
    lease = candidate("a")
    await lease.acquire()
    client.put({**client.objects[KEY], "metadata": {**client.objects[KEY]["metadata"], "labels": {"x": "y"}}})
    assert await lease._attempt(lease._renew)
    assert lease.holds()


async def test_of_two_that_race_one_wins(client, clock, candidate):
    first, second = candidate("a"), candidate("b")
    client.put(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": "ns", "name": "perennial"},
            "spec": {},
        }
    )
    real, stale = client.get, client.objects[KEY] | {"metadata": dict(client.objects[KEY]["metadata"])}
    assert await first._attempt(first._take)

    async def get(*_):
        return stale

    client.get = get
    assert not await second._attempt(second._take)
    client.get = real
    assert (first.holds(), second.holds()) == (True, False)


async def test_releasing_what_is_not_held_writes_nothing(client, clock, candidate):
    await candidate("a").release()
    lease = candidate("a")
    await lease.acquire()
    clock.seconds += 11
    before = len(client.calls)
    await lease.release()
    assert len(client.calls) == before


def test_a_lease_whose_times_allow_two_leaders_is_refused(client):
    with pytest.raises(ValueError, match="period < deadline < duration"):
        Lease(client, "ns", "perennial", "a", duration=10, deadline=10)
