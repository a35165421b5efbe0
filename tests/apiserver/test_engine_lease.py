"""Two operators: one leads, the other takes over when the first is told to stop, is killed, or sleeps."""

import signal
import time
from collections.abc import Iterator

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, TRAININGJOBS
from tests.apiserver.operators import Operator, eventually, writes
from tests.apiserver.toy import a_trainingjob

SECONDS = 4.0


@pytest.fixture
def pair(toy_server: ApiServer, request: pytest.FixtureRequest) -> Iterator[tuple[Operator, Operator]]:
    """The leader and the one that stands by."""
    name = request.node.name
    with Operator(toy_server, f"{name}-1", lease_seconds=SECONDS) as first:
        first.started()
        with Operator(toy_server, f"{name}-2", lease_seconds=SECONDS) as second:
            eventually(lambda: "ok" in second.get("/readyz"))
            yield first, second


def makes_a_job(server: ApiServer, name: str, seconds: float = 15.0) -> None:
    server.request("POST", TRAININGJOBS.path("default"), a_trainingjob("default", name))
    path = JOBS.path("default", name)
    eventually(lambda: server.request("GET", path), seconds)


def test_one_leads_and_the_other_writes_nothing(toy_server: ApiServer, pair: tuple[Operator, Operator]) -> None:
    first, second = pair
    before = len(writes(toy_server))
    makes_a_job(toy_server, "only-once")
    time.sleep(1.5)
    assert first.leads()
    assert not second.leads()
    # The Job, the status and the event: of one operator, not of two.
    assert len(writes(toy_server)) - before == 3
    assert second.metric("rest_client_requests_total", verb="create") == 0


def test_a_stopped_leader_is_followed_at_once(toy_server: ApiServer, pair: tuple[Operator, Operator]) -> None:
    first, second = pair
    started = time.monotonic()
    first.signal(signal.SIGTERM)
    eventually(second.leads)
    assert time.monotonic() - started < SECONDS / 2
    assert first.exit_code() == 0
    makes_a_job(toy_server, "after-stop")


def test_a_killed_leader_is_followed(toy_server: ApiServer, pair: tuple[Operator, Operator]) -> None:
    first, second = pair
    first.signal(signal.SIGKILL)
    toy_server.request("POST", TRAININGJOBS.path("default"), a_trainingjob("default", "in-between"))
    eventually(second.leads, 2 * SECONDS)
    eventually(lambda: toy_server.request("GET", JOBS.path("default", "in-between")))


def test_a_leader_that_slept_does_not_write_any_more(toy_server: ApiServer, pair: tuple[Operator, Operator]) -> None:
    first, second = pair
    first.signal(signal.SIGSTOP)
    eventually(second.leads, 2 * SECONDS)
    makes_a_job(toy_server, "while-asleep")
    time.sleep(1.5)
    before = writes(toy_server)
    first.signal(signal.SIGCONT)
    assert first.exit_code() == 1, "its pod is to be started anew"
    time.sleep(1)
    assert writes(toy_server) == before
