"""What is understood as a request for a run, and where it waits."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.api.resources import RETRAINPOLICIES
from perennial.ingest.refusal import Refusal
from perennial.ingest.runs import Requests, parse
from perennial.plan import Body
from perennial.runtime.key import Key
from perennial.view import Name
from tests.fakes import FakeClient

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVENT = {"specversion": "1.0", "id": "17", "source": "/airflow/churn", "type": "dev.acme.loaded"}
POLICY = Name("team", "churn")
KEY = Key(RETRAINPOLICIES, *POLICY)


def alerts(*statuses: str) -> Any:
    """As Alertmanager posts them."""
    found = [{"status": one, "startsAt": f"2026-11-20T1{n}:00:00Z", "labels": {}} for n, one in enumerate(statuses)]
    return {"version": "4", "groupKey": "{}:{model='churn'}", "status": "firing", "alerts": found}


@pytest.mark.parametrize(
    ("headers", "body", "id"),
    [
        ({}, {"id": "run-42"}, "run-42"),
        ({}, {"id": "run-42", "reason": "loaded"}, "run-42"),
        ({"Idempotency-Key": "k1"}, "", "k1"),
        ({"Idempotency-Key": "k1"}, {"dag": "churn"}, "k1"),
        ({"Content-Type": "application/cloudevents+json; charset=utf-8"}, EVENT, "/airflow/churn 17"),
        ({f"ce-{name}": value for name, value in EVENT.items()}, "not looked at", "/airflow/churn 17"),
        ({"Content-Type": "application/json"}, alerts("firing"), "{}:{model='churn'} 2026-11-20T10:00:00Z"),
        ({}, alerts("resolved", "firing", "firing"), "{}:{model='churn'} 2026-11-20T11:00:00Z"),
        ({}, alerts("resolved"), None),
    ],
)
def test_what_is_asked_for(headers: dict[str, str], body: Any, id: str | None) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert parse(headers, text.encode()) == id


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        ({}, b"", 400, "id: give one, so that a request which is sent again is known"),
        ({}, b"{}", 400, "id: give one"),
        ({}, b"{", 400, "the body is no JSON"),
        ({}, b"[" * 100_000, 400, "the body is no JSON"),
        ({}, b'{"id": 7}', 400, "id: Input should be a valid string"),
        ({}, b'"run"', 400, "the body: "),
        ({}, json.dumps({"id": "a\nb"}).encode(), 400, "printable ASCII"),
        ({}, json.dumps({"id": "x" * 1025}).encode(), 400, "at most 1024"),
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]", 415, "one CloudEvent at a time"),
        ({"Content-Type": "application/cloudevents+json"}, b'{"specversion": "1.0", "id": "1"}', 400, "source: "),
        ({"ce-specversion": "0.3", "ce-id": "1", "ce-source": "/a", "ce-type": "b"}, b"", 400, "specversion: "),
        ({}, b'{"groupKey": "a", "alerts": [{}]}', 400, "alerts.0.status: "),
    ],
)
def test_what_is_no_request(headers: dict[str, str], body: bytes, status: int, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse(headers, body)
    assert refused.value.status == status
    assert words in refused.value.message


class TestRequests:
    @pytest.fixture
    def client(self) -> FakeClient:
        client = FakeClient()
        metadata = {"name": "churn", "namespace": "team", "uid": "u1"}
        client.put({"apiVersion": RETRAINPOLICIES.api_version, "kind": RETRAINPOLICIES.kind, "metadata": metadata})
        return client

    @staticmethod
    def waiting(client: FakeClient) -> list[str]:
        found = client.objects[KEY].get("status") or {}
        return [one["id"] for one in found.get("requests") or ()]

    async def test_it_waits_in_the_status_and_is_known_when_it_comes_again(self, client: FakeClient) -> None:
        requests = Requests(client, lambda: NOW)
        request, new = await requests.ask("airflow", POLICY, "a")
        assert (request.id, request.by, request.run, new) == ("a", "airflow", None, True)
        assert await requests.ask("airflow", POLICY, "b") != (request, True)
        assert self.waiting(client) == ["a", "b"]
        again, new = await requests.ask("somebody", POLICY, "a")
        assert (again, new) == (request, False)
        assert self.waiting(client) == ["a", "b"]

    async def test_a_long_id_is_known_by_its_hash(self, client: FakeClient) -> None:
        requests = Requests(client, lambda: NOW)
        for number in range(2):
            request, new = await requests.ask("airflow", POLICY, "x" * 1000)
            assert request.id.startswith("sha256:")
            assert new is (number == 0)

    async def test_what_was_answered_makes_room_for_what_waits(self, client: FakeClient) -> None:
        requests = Requests(client, lambda: NOW)
        answered = [{"id": str(n), "by": "a", "time": "2026-11-20T12:00:00Z", "run": n + 1} for n in range(20)]
        client.put({**client.objects[KEY], "status": {"requests": answered}})
        await requests.ask("airflow", POLICY, "new")
        assert self.waiting(client) == [*map(str, range(1, 20)), "new"]
        for number in range(19):
            await requests.ask("airflow", POLICY, f"new-{number}")
        assert len(self.waiting(client)) == 20
        assert self.waiting(client)[0] == "new", "what waits is never forgotten"
        with pytest.raises(Refusal) as refused:
            await requests.ask("airflow", POLICY, "too many")
        assert (refused.value.status, refused.value.retry_after) == (429, 60)

    async def test_another_write_in_between_loses_nothing(self, client: FakeClient) -> None:
        policy = client.objects[KEY]
        other = {"requests": [{"id": "other", "by": "b", "time": "2026-11-20T12:00:00Z"}]}

        class Interfering(FakeClient):
            async def get(self, *of: Any) -> Body:
                found = await super().get(*of)
                if "status" not in found:
                    self.put({**policy, "status": other})
                return found

        busy = Interfering()
        busy.put(policy)
        await Requests(busy, lambda: NOW).ask("airflow", POLICY, "mine")
        assert self.waiting(busy) == ["other", "mine"]

    async def test_many_at_once_do_not_hinder_one_another(self, client: FakeClient) -> None:
        class Slow(FakeClient):
            async def get(self, *of: Any) -> Body:
                found = await super().get(*of)
                await asyncio.sleep(0)
                return found

        slow = Slow()
        slow.put(client.objects[KEY])
        requests = Requests(slow, lambda: NOW)
        await asyncio.gather(*(requests.ask("airflow", POLICY, str(n)) for n in range(20)))
        assert self.waiting(slow) == [str(n) for n in range(20)]

    async def test_a_policy_that_is_not_there(self) -> None:
        with pytest.raises(Refusal) as refused:
            await Requests(FakeClient()).ask("airflow", POLICY, "a")
        assert refused.value.status == 404
