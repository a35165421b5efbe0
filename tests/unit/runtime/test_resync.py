"""Filling and comparing: CRDs that come late, changes that the watch missed, and those that it is about to tell."""

import asyncio

import pytest

from perennial.api.meta import LABEL_OWNED
from perennial.api.resources import JOBS, TRAININGJOBS
from perennial.config import Config
from perennial.kube.errors import NotFound, Unavailable
from perennial.plan import Plan
from perennial.runtime.key import Key
from perennial.runtime.resync import Resync
from perennial.runtime.worker import Engine
from perennial.view import Controller
from tests.fakes import FakeClient
from tests.unit.runtime.builders import a_body, a_job

SELECTORS = {TRAININGJOBS: "", JOBS: LABEL_OWNED}


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def engine(client):
    controller = Controller(TRAININGJOBS, lambda *_: None, lambda *_: Plan())
    return Engine([controller], Config(), client, None)


@pytest.fixture
def resync(client, engine):
    return Resync(client, engine, SELECTORS, [TRAININGJOBS], period=0.02, owners_period=0.02, retry=0.001, grace=0.005)


async def test_it_fills_the_cache_and_waits_for_what_is_not_there_yet(client, engine, resync):
    client.fail("list", TRAININGJOBS, NotFound("the CRD is not established"))
    client.fail("list", JOBS, Unavailable("starting"))
    for number in range(501):
        client.put(a_body(TRAININGJOBS, f"tj-{number}"))
    client.put(a_body(JOBS, "ours", metadata={"labels": {LABEL_OWNED: "x"}}))
    client.put(a_job("theirs"))
    versions = await resync.fill()
    assert versions.keys() == SELECTORS.keys()
    assert len(engine.cache.keys(TRAININGJOBS)) == 501
    assert [key.name for key in engine.cache.keys(JOBS)] == ["ours"]
    assert len(engine.queue) == 501


async def test_a_list_of_before_is_asked_for_again_but_not_for_ever(client, engine, resync):
    client.put(a_body(TRAININGJOBS, "tj"))
    now = int((await client.list(TRAININGJOBS)).resource_version)
    client.calls.clear()
    await resync.fill(now + 3)
    assert sum(verb == "list" for verb, _ in client.calls) > len(SELECTORS)
    assert [key.name for key in engine.cache.keys(TRAININGJOBS)] == ["tj"]
    await resync.fill(10**9)


async def test_what_the_watch_missed_is_put_right(client, engine, resync):
    for name in ("kept", "gone", "changed"):
        engine.cache.put(TRAININGJOBS, client.put(a_body(TRAININGJOBS, name)))
    await client.delete(TRAININGJOBS, "ns", "gone")
    client.put({**client.objects[Key(TRAININGJOBS, "ns", "changed")], "spec": {"new": 1}})
    client.put(a_body(TRAININGJOBS, "missed"))
    client.calls.clear()
    assert await resync.compare(TRAININGJOBS) == 3
    assert {key.name for key in engine.cache.keys(TRAININGJOBS)} == {"kept", "changed", "missed"}
    assert engine.cache.get(TRAININGJOBS, "ns", "changed")["spec"] == {"new": 1}
    assert [call for call in client.calls if call[0] == "get"] == [
        ("get", "trainingjobs/changed"),
        ("get", "trainingjobs/missed"),
    ]
    assert await resync.compare(TRAININGJOBS) == 0


async def test_what_the_watch_tells_meanwhile_is_not_read(client, engine, resync):
    body = client.put(a_body(TRAININGJOBS, "tj"))
    comparing = asyncio.create_task(resync.compare(TRAININGJOBS))
    await asyncio.sleep(0)
    engine.cache.put(TRAININGJOBS, body)
    assert await comparing == 0
    assert ("get", "trainingjobs/tj") not in client.calls


async def test_it_runs_on_through_outages_and_revisits_every_owner(client, engine, resync):
    engine.cache.put(TRAININGJOBS, client.put(a_body(TRAININGJOBS, "tj")))
    key, _ = await engine.queue.get()
    engine.queue.done(key)
    client.fail("list", TRAININGJOBS, Unavailable("away"))
    client.put(a_body(TRAININGJOBS, "missed"))
    task = asyncio.create_task(resync.run())
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()
    assert engine.cache.get(TRAININGJOBS, "ns", "missed")
    waiting = {(await engine.queue.get())[0].name for _ in range(len(engine.queue))}
    assert waiting == {"tj", "missed"}


async def test_of_one_namespace_nothing_else_is_looked_at(client, engine):
    resync = Resync(client, engine, SELECTORS, [TRAININGJOBS], namespace="ns", grace=0)
    for number in range(501):
        client.put(a_body(TRAININGJOBS, f"tj-{number}"))
    client.put(a_body(TRAININGJOBS, "theirs", metadata={"namespace": "other"}))
    await resync.fill()
    client.put(a_body(TRAININGJOBS, "missed"))
    client.put(a_body(TRAININGJOBS, "missed", metadata={"namespace": "other"}))
    assert await resync.compare(TRAININGJOBS) == 1
    assert {key.namespace for key in engine.cache.keys(TRAININGJOBS)} == {"ns"}
