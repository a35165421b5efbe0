"""Runs that programs ask for, over TLS, with exactly the operator's rights, and the operator that starts them."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest_asyncio

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.ingest.service import IngestService
from perennial.plan import Body
from tests.apiserver.operators import Perennial
from tests.apiserver.reporting import Place, Reporter, path, sample, serving, until
from tests.apiserver.space import Space

RIGHT = "retrainpolicies/runs"
EVENT = {"specversion": "1.0", "id": "17", "source": "/airflow", "type": "dev.acme.loaded"}
TRAINING: Body = {
    "model": {"name": "churn"},
    "template": {"spec": {"containers": [{"name": "main", "image": "train:1", "command": ["python", "train.py"]}]}},
    "output": {"uri": "s3://acme/models"},
}


class Asking:
    """A policy in a namespace of its own, and who may ask it."""

    def __init__(self, space: Space, service: IngestService, home: Place) -> None:
        self.space, self.service, self.home = space, service, home
        self.place = Place.__new__(Place)
        self.place.server, self.place.name = space.server, space.name
        self.place.deploy()
        spec = {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": TRAINING},
            "concurrencyPolicy": "Allow",
        }
        space.make(RETRAINPOLICIES, "churn", spec)

    def by(self, token: str) -> Reporter:
        return Reporter(self.service.port, self.home.bundle(), token)

    def runs(self) -> list[Body]:
        status = (self.space.get(RETRAINPOLICIES, "churn") or {}).get("status") or {}
        found: list[Body] = status.get("runs") or []
        return found


def where(place: Place, name: str = "churn") -> str:
    return f"/v1/namespaces/{place.name}/retrainpolicies/{name}/runs"


@pytest_asyncio.fixture
async def asking(controlled: ApiServer, space: Space) -> AsyncIterator[Asking]:
    home = await asyncio.to_thread(Place, controlled)
    kubeconfig = await asyncio.to_thread(home.operator)
    async with serving(kubeconfig, home.name) as service:
        await until(lambda: service.ready() is None)
        yield await asyncio.to_thread(Asking, space, service, home)


async def test_each_id_starts_one_run(asking: Asking, perennial: Perennial) -> None:
    token = await asyncio.to_thread(asking.place.reporter, "airflow", (), RIGHT)
    async with asking.by(token) as program:
        first = await program.send(where(asking.place), b'{"id": "load-1"}')
        assert (first.status, first.body) == (202, {"request": "load-1"})
        await until(lambda: len(asking.runs()) == 1)
        again = await program.send(where(asking.place), b'{"id": "load-1"}')
        assert (again.status, again.body) == (200, {"request": "load-1", "run": 1})
        await asyncio.to_thread(perennial.kill)
        event = {"Content-Type": "application/cloudevents+json"}
        answers = [await program.send(where(asking.place), json.dumps(EVENT).encode(), **event) for _ in range(3)]
        assert [answer.status for answer in answers] == [202, 200, 200]
        await asyncio.to_thread(perennial.restart)
        await until(lambda: len(asking.runs()) == 2, 30)
        firing = {"groupKey": "churn", "alerts": [{"status": "firing", "startsAt": "2026-11-20T12:00:00Z"}]}
        for _ in range(2):
            await program.send(where(asking.place), json.dumps(firing).encode())
        await until(lambda: len(asking.runs()) == 3)
    await until(lambda: len(asking.space.every(TRAININGJOBS)) == 3)
    cause = asking.runs()[0]["cause"]
    assert cause["type"] == "Event"
    assert cause["message"].startswith(f"asked for by system:serviceaccount:{asking.place.name}:airflow (")
    assert [run["number"] for run in asking.runs()] == [3, 2, 1]


async def test_many_at_once_are_all_remembered(asking: Asking) -> None:
    token = await asyncio.to_thread(asking.place.reporter, "airflow", (), RIGHT)
    async with asking.by(token) as program:
        sent = (program.send(where(asking.place), json.dumps({"id": f"load-{n}"}).encode()) for n in range(8))
        answers = await asyncio.gather(*sent)
    assert [answer.status for answer in answers] == [202] * 8

    def answered() -> bool:
        requests = (asking.space.there(RETRAINPOLICIES, "churn").get("status") or {}).get("requests") or []
        return len(requests) == 8 and all(one.get("run") for one in requests)

    await until(answered)


async def test_a_right_to_report_is_none_to_ask(asking: Asking) -> None:
    reporter = await asyncio.to_thread(asking.place.reporter)
    one = await asyncio.to_thread(asking.place.reporter, "one", ("other",), RIGHT)
    asker = await asyncio.to_thread(asking.place.reporter, "asker", (), RIGHT)
    async with asking.by(reporter) as program:
        answer = await program.send(where(asking.place), b'{"id": "a"}')
        assert answer.status == 403
        assert "the verb create on retrainpolicies/runs" in answer.body["error"]
    async with asking.by(one) as program:
        assert (await program.send(where(asking.place), b'{"id": "a"}')).status == 403
    async with asking.by(asker) as program:
        assert (await program.report(asking.place, sample())).status == 403
        assert (await program.send(where(asking.place, "gone"), b'{"id": "a"}')).status == 404
        assert (await program.send(where(asking.place), b"{}")).status == 400
        assert (await program.send(path(asking.place).replace("metrics", "runs"), b"{}")).status == 404
    assert not asking.runs()
