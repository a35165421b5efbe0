"""Events: one object for repeats, bounded, and never in the way."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from perennial.api.resources import EVENTS, TRAININGJOBS
from perennial.kube.errors import Unavailable
from perennial.plan import Event
from perennial.receivers import Recorder
from perennial.receivers.events import Events
from tests.fakes import FakeClient
from tests.unit.runtime.builders import a_body

ABOUT = a_body(TRAININGJOBS, "tj")
STARTED = Event("Normal", "Started", "the Job was made")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder(client, clock):
    return Recorder(Events(client), clock=clock, now=lambda: datetime.fromtimestamp(clock.seconds, UTC))


@asynccontextmanager
async def running(recorder):
    task = asyncio.create_task(recorder.run())
    yield
    for _ in range(200):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


def stored(client):
    return [(body["reason"], body["count"]) for key, body in client.objects.items() if key.resource == EVENTS]


async def test_an_event_names_the_object_as_kubectl_describe_looks_for_it(client, recorder):
    async with running(recorder):
        recorder.record(ABOUT, STARTED)
    (event,) = client.objects.values()
    assert event["metadata"]["namespace"] == "ns"
    assert event["involvedObject"] == {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "TrainingJob",
        "namespace": "ns",
        "name": "tj",
        "uid": "uid-tj",
        "resourceVersion": "1",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Started", "the Job was made")
    assert event["firstTimestamp"] == event["lastTimestamp"] == "1970-01-01T00:00:00Z"


async def test_repeats_raise_the_count(client, recorder, clock):
    async with running(recorder):
        for _ in range(3):
            recorder.record(ABOUT, STARTED)
    assert stored(client) == [("Started", 3)], "not yet written ones are one request"
    clock.seconds = 60
    async with running(recorder):
        recorder.record(ABOUT, STARTED)
        recorder.record(ABOUT, Event("Normal", "Other", "m"))
    assert stored(client) == [("Started", 4), ("Other", 1)]
    event = next(iter(client.objects.values()))
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z")


async def test_an_event_that_expired_is_made_anew(client, recorder):
    async with running(recorder):
        recorder.record(ABOUT, STARTED)
    client.objects.clear()
    async with running(recorder):
        recorder.record(ABOUT, STARTED)
    assert stored(client) == [("Started", 1)]


async def test_one_object_cannot_flood(client, recorder, clock):
    async with running(recorder):
        for number in range(100):
            recorder.record(ABOUT, Event("Normal", "R", str(number)))
    assert len(client.objects) == 25
    other = a_body(TRAININGJOBS, "other")
    clock.seconds = 600
    async with running(recorder):
        recorder.record(other, STARTED)
        for number in range(100, 200):
            recorder.record(ABOUT, Event("Normal", "R", str(number)))
    assert len(client.objects) == 25 + 1 + 2


async def test_an_api_server_that_is_away_costs_events_and_nothing_else(client, recorder):
    client.fail("create", EVENTS, Unavailable("gone"))
    async with running(recorder):
        recorder.record(ABOUT, STARTED)
        recorder.record(ABOUT, Event("Normal", "Other", "m"))
    assert stored(client) == [("Other", 1)]


def test_more_than_can_be_written_are_dropped_without_waiting(client, recorder):
    for number in range(3000):
        recorder.record(a_body(TRAININGJOBS, f"tj-{number}"), STARTED)
