"""What the ingest endpoint acknowledged is there, sample by sample, whatever was killed and whatever failed meanwhile.

Each sample has an id, and writes a digit of its own: sums keep twelve significant digits, so a bucket of a day that is
over holds eleven samples, and says how often each of them was counted.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import METRICSERIES
from perennial.metricseries.book import buckets
from perennial.metricseries.bucket import DAY
from tests.apiserver.operators import USER, apply_kinds, eventually
from tests.apiserver.reporting import Place, Reporter
from tests.prove.ingesting import Ingesting, certificates
from tests.prove.proxy import Break, Fault, Faults, Hang, Proxy, Refuse, Request
from tests.prove.report import Proof, scaled

pytestmark = pytest.mark.proof("Ingest")
DIGITS, DAYS, METRICS = 11, 25, 12
# So many times a sample may be counted before its digit runs over.
_TRIES = 9


class Id(NamedTuple):
    """A sample: a digit of a day's bucket of a metric of a deployment."""

    deployment: str
    metric: str
    day: int
    digit: int


@dataclass
class Ledger:
    """What was sent, how often without an answer, and what was acknowledged."""

    place: Place
    deployments: list[str]
    today: int = field(default_factory=lambda: int(time.time()) // DAY)
    acknowledged: set[Id] = field(default_factory=set)
    unanswered: Counter[Id] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        metrics = [f"metric_{number}" for number in range(METRICS)]
        # In an order that mixes deployments and metrics.
        self._free = (
            Id(deployment, metric, self.today - 2 - day, digit)
            for digit, day, metric, deployment in itertools.product(
                range(DIGITS), range(DAYS), metrics, self.deployments
            )
        )

    async def report(self, reporter: Reporter) -> None:
        """Report a new sample until it is acknowledged, or was left unanswered too often."""
        one = next(self._free)
        fields = {
            "name": one.metric,
            "value": 10**one.digit,
            "revision": "churn-1",
            "timestamp": one.day * DAY + 43_200,
        }
        while self.unanswered[one] < _TRIES:
            # Until there is an answer that it was not: whoever is killed now may have written it.
            self.unanswered[one] += 1
            try:
                async with asyncio.timeout(45):
                    answer = await reporter.report(self.place, fields, name=one.deployment)
            except (OSError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            self.answers[answer.status] += 1
            if answer.status == 200:
                self.acknowledged.add(one)
                self.unanswered[one] -= 1
                return
            # An API server that has just been started does not yet know who is who, and who may what.
            assert answer.status in (401, 403, 429, 503), answer
            if answer.status != 503:
                # Surely not written.
                self.unanswered[one] -= 1
            await asyncio.sleep(0.2)

    async def check(self) -> int:
        """Every acknowledged sample is there, none is there more often than it was sent; the number of them."""
        sure = set(self.acknowledged)
        found = await asyncio.to_thread(self._found)
        for one in self.acknowledged | self.unanswered.keys():
            counted = found[one.deployment, one.metric, one.day] // 10**one.digit % 10
            most = (one in self.acknowledged) + self.unanswered[one]
            assert (one in sure) <= counted <= most, (one, one in sure, counted, most)
        return len(sure)

    def _found(self) -> Counter[tuple[str, str, int]]:
        """The sums of all days, by deployment and metric."""
        records = self.place.server.request("GET", METRICSERIES.path(self.place.name))["items"]
        return Counter(
            {
                (record["metadata"]["name"], row["metric"], bucket.start // DAY): round(bucket.sum)
                for record in records
                for row in record["status"]["series"]
                for bucket in buckets(record, row["metric"], row["revision"])
            }
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that is killed, too."""
    with ApiServer(tmp_path_factory.mktemp("durable"), users={USER: ["system:masters"]}) as server:
        apply_kinds(server)
        yield server


@pytest.fixture
def ledger(server: ApiServer) -> Ledger:
    place = Place(server)
    names = [f"model-{number}" for number in range(6)]
    for name in names:
        place.deploy(name)
    return Ledger(place, names)


@asynccontextmanager
async def load(ledger: Ledger, operators: list[Ingesting]) -> AsyncIterator[None]:
    """Senders that report to all operators while it lasts; what they began they end."""
    ends = asyncio.Event()

    async def send(token: str, operator: Ingesting) -> None:
        async with Reporter(operator.reports, operator.bundle, token) as reporter:
            while not ends.is_set():
                await ledger.report(reporter)
                await asyncio.sleep(0.1)

    tokens = [ledger.place.reporter(f"monitor-{number}") for number in range(6)]
    senders = [asyncio.create_task(send(token, operator)) for token in tokens for operator in operators for _ in "ab"]
    try:
        yield
    finally:
        ends.set()
        await asyncio.gather(*senders)


async def test_what_was_acknowledged_outlives_every_kill(
    server: ApiServer, ledger: Ledger, config: Path, tmp_path: Path, proof: Proof
) -> None:
    trusted, home = certificates(tmp_path / "tls"), Place(server)
    kills = scaled(50, 3)
    with (
        Ingesting(server, home, config, trusted, replica=0, replicas=2) as first,
        Ingesting(server, home, config, trusted, replica=1, replicas=2) as second,
    ):
        operators = [first, second]
        for operator in operators:
            await asyncio.to_thread(eventually, operator.listens, 60)
        async with load(ledger, operators):
            for number in range(kills):
                operator = operators[number % 2]
                # Under way are reports, writes, and answers.
                await asyncio.sleep(random.uniform(0.3, 1.5))
                operator.kill()
                await ledger.check()
                operator.__enter__()
                await asyncio.to_thread(eventually, operator.listens, 60)
                proof.count("kills of the operator under load")
                if number % 40 == 5:
                    await asyncio.to_thread(server.stop_apiserver, kill=True)
                    await asyncio.to_thread(server.start_apiserver)
                    proof.count("kills of the API server under load")
    assert ledger.answers[200] >= 5 * kills
    proof.count("acknowledged samples found", await ledger.check())


class Weather(Faults):
    """Part of all writes of records goes wrong, and of what is asked before them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.made: Counter[str] = Counter()

    def request(self, request: Request) -> Fault | None:
        if request.resource not in ("metricseries", "modeldeployments", "tokenreviews") or request.watches:
            return None
        if request.lists or self._random.random() > 0.3:
            return None
        writes = request.writes and request.resource == "metricseries"
        faults = [Refuse(429), Refuse(500), Refuse(503), Break(asked=False), Break(asked=True), Hang(2)]
        fault = self._random.choice(faults + [Refuse(409)] * 3 if writes else faults)
        self.made[str(fault)] += 1
        return fault


async def test_what_was_acknowledged_is_there_whatever_the_api_server_answers(
    server: ApiServer, ledger: Ledger, config: Path, tmp_path: Path, proof: Proof
) -> None:
    weather, home = Weather(7), Place(server)
    with (
        Proxy(server, f"{home.name}-weather", weather) as proxy,
        Ingesting(server, home, config, certificates(tmp_path / "tls"), kubeconfig=proxy.kubeconfig) as operator,
    ):
        await asyncio.to_thread(eventually, operator.listens, 60)
        async with load(ledger, [operator]):
            await asyncio.sleep(scaled(120, 5))
            weather.request = lambda request: None  # type: ignore[method-assign]
    assert len(weather.made) >= 4
    assert ledger.answers[200] > 10
    assert ledger.answers[503]
    proof.count("faults of the API server", weather.made.total())
    proof.count("acknowledged samples found", await ledger.check())
