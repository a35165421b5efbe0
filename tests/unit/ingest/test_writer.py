"""How reports wait, come together and are told apart. What a real API server makes of it is tested there."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.metricseries import MAX_SERIES
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS
from perennial.ingest.refusal import Refusal
from perennial.ingest.writer import Pace, Writer
from perennial.kube.errors import Conflict, Unavailable
from perennial.metricseries.sample import Sample
from perennial.metricseries.series import summarise
from perennial.plan import Body
from perennial.view import Name
from tests.fakes import FakeClient

NOW = datetime(2026, 11, 21, 10, 7, 30, tzinfo=UTC)
CHURN = Name("team", "churn")
BUSY = Conflict("changed meanwhile", code=409)


def deployment(name: str = "churn") -> Body:
    metadata = {"name": name, "namespace": "team"}
    return {"apiVersion": MODELDEPLOYMENTS.api_version, "kind": MODELDEPLOYMENTS.kind, "metadata": metadata, "spec": {}}


def sample(name: str = "accuracy", count: int = 1) -> Sample:
    return Sample(name, 0.9, NOW.timestamp(), "churn-1", count)


@pytest.fixture
def client() -> FakeClient:
    client = FakeClient()
    client.put(deployment())
    return client


@pytest.fixture
def writer(client: FakeClient) -> Writer:
    return Writer(client, 100, now=lambda: NOW)


def counted(client: FakeClient) -> int:
    body = next(body for key, body in client.objects.items() if key.resource == METRICSERIES)
    summary = summarise(body, "accuracy", "churn-1", NOW.replace(hour=0), NOW)
    return summary.count if summary else 0


async def told(writer: Writer, *reports: list[Sample], deployment: Name = CHURN) -> list[BaseException | None]:
    return await asyncio.gather(
        *(writer.report("monitor", deployment, report) for report in reports), return_exceptions=True
    )


async def test_what_waits_for_one_record_is_one_write(client: FakeClient, writer: Writer) -> None:
    assert await told(writer, *[[sample()]] * 5) == [None] * 5
    assert await told(writer, *[[sample()]] * 5) == [None] * 5
    assert client.writes == [("create", "metricseries/churn"), ("patch", "metricseries/churn")]
    assert counted(client) == 10


async def test_a_report_is_folded_again_when_another_write_came_first(client: FakeClient, writer: Writer) -> None:
    await writer.report("monitor", CHURN, [sample()])
    client.fail("patch", METRICSERIES, BUSY)
    client.fail("patch", METRICSERIES, BUSY)
    await writer.report("monitor", CHURN, [sample(count=3)])
    assert counted(client) == 4


async def test_what_another_replica_wrote_in_between_is_not_overwritten(client: FakeClient, writer: Writer) -> None:
    await writer.report("monitor", CHURN, [sample()])
    other, patch = Writer(client, 100, now=lambda: NOW), client.patch

    async def beaten(*arguments: Any) -> Body:
        client.patch = patch  # type: ignore[method-assign]
        await other.report("monitor", CHURN, [sample(count=2)])
        return await patch(*arguments)

    client.patch = beaten  # type: ignore[assignment, method-assign]
    await writer.report("monitor", CHURN, [sample(count=3)])
    assert counted(client) == 6


async def test_a_record_that_is_always_busy_takes_nothing(client: FakeClient, writer: Writer) -> None:
    await writer.report("monitor", CHURN, [sample()])
    client.fail("patch", METRICSERIES, BUSY, always=True)
    (refusal,) = await told(writer, [sample()])
    assert isinstance(refusal, Refusal)
    assert (refusal.status, counted(client)) == (503, 1)
    client.heal()
    assert await told(writer, [sample()]) == [None]


async def test_a_write_that_fails_is_told_to_all_who_wait(client: FakeClient, writer: Writer) -> None:
    client.fail("create", METRICSERIES, Unavailable("no answer"))
    refusals = await told(writer, [sample()], [sample()])
    assert [getattr(refusal, "status", None) for refusal in refusals] == [503, 503]
    assert await told(writer, [sample()]) == [None]
    assert counted(client) == 1


async def test_only_the_report_that_has_no_room_is_refused(client: FakeClient, writer: Writer) -> None:
    many = [sample(f"m{i}") for i in range(MAX_SERIES)]
    good, refusal, good_too = await told(writer, [sample()], [sample(), *many], [sample()])
    assert (good, good_too) == (None, None)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.problems[0].index) == (400, MAX_SERIES)
    assert counted(client) == 2


async def test_an_unknown_deployment_takes_nothing(client: FakeClient, writer: Writer) -> None:
    client.put(deployment("leaving") | {"metadata": {**deployment("leaving")["metadata"], "deletionTimestamp": "now"}})
    for name in ("missing", "leaving"):
        (refusal,) = await told(writer, [sample()], deployment=Name("team", name))
        assert isinstance(refusal, Refusal)
        assert refusal.status == 404
    assert client.writes == []


@pytest.mark.parametrize(
    ("owner", "status"),
    [({"kind": "ModelDeployment", "uid": "earlier", "controller": True}, 503), (None, 409)],
    ids=["an earlier deployment's", "somebody's"],
)
async def test_another_ones_record_is_not_touched(
    client: FakeClient, writer: Writer, owner: Body | None, status: int
) -> None:
    metadata = {"name": "churn", "namespace": "team", "ownerReferences": [owner] if owner else []}
    client.put({"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind, "metadata": metadata})
    (refusal,) = await told(writer, [sample()])
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert client.writes == []


async def test_too_many_waiting_samples_are_refused_with_a_time(writer: Writer) -> None:
    # Half of the room is kept for others.
    first, refusal = await told(writer, [sample()] * 25_000, [sample()])
    assert first is None
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after) == (429, 1.0)
    assert await told(writer, [sample()]) == [None]


async def test_who_reports_much_leaves_room_for_others(writer: Writer) -> None:
    greedy = asyncio.create_task(told(writer, *[[sample()] * 1000] * 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await writer.report("another", CHURN, [sample()] * 1000)
    assert [answer for answer in await greedy if answer]


async def test_who_reports_to_many_records_keeps_nobody_waiting(client: FakeClient) -> None:
    writer = Writer(client, 20, now=lambda: NOW)
    names = [Name("team", f"model-{i}") for i in range(30)]
    for name in (*names, Name("team", "fraud")):
        client.put(deployment(name.name))
    greedy = [asyncio.create_task(writer.report("greedy", name, [sample()])) for name in names]
    await asyncio.sleep(0.01)
    await writer.report("monitor", Name("team", "fraud"), [sample()])
    # Also what the greedy one wants to write too, and would come to last.
    await writer.report("monitor", names[-1], [sample()])
    assert sum(task.done() for task in greedy) <= 6
    await asyncio.gather(*greedy)
    assert len(client.writes) == 31


async def test_a_report_whose_turn_does_not_come_is_not_written(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perennial.ingest.writer._PATIENCE", 0.2)
    client.put(deployment("fraud"))
    writer = Writer(client, 4, now=lambda: NOW)
    await writer.report("monitor", CHURN, [sample()])
    with pytest.raises(Refusal, match="too many reports wait"):
        await writer.report("monitor", CHURN, [sample()])
    assert client.writes == [("create", "metricseries/churn")]
    await asyncio.sleep(0.1)
    assert len(client.writes) == 1


async def test_who_waits_when_it_stops_is_told_so(client: FakeClient) -> None:
    writer = Writer(client, 0.5, now=lambda: NOW)
    await writer.report("monitor", CHURN, [sample()])
    waiting = asyncio.create_task(writer.report("monitor", CHURN, [sample()]))
    await asyncio.sleep(0)
    await writer.stop()
    with pytest.raises(Refusal, match="the operator stops"):
        await waiting


@given(pauses=st.lists(st.floats(0, 0.5), min_size=1, max_size=100))
def test_turns_are_never_closer_than_the_rate(pauses: list[float]) -> None:
    now = 100.0
    pace = Pace(5, clock=lambda: now)
    turns = []
    for pause in pauses:
        now += pause
        turns.append(now + pace.take())
    assert all(later - first >= 0.2 - 1e-9 for first, later in itertools.pairwise(turns))
    assert turns[0] == 100.0 + pauses[0]
