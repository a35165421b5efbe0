"""Health: what makes the process unhealthy, and what it answers over HTTP."""

import aiohttp
import pytest

from perennial.telemetry.health import Health, LoopLag, limit


@pytest.mark.parametrize(
    ("lags", "healthy"),
    [
        pytest.param([], True, id="at the start"),
        pytest.param([60.0], True, id="late once"),
        pytest.param([6.0, 6.0, 6.0], False, id="late thrice"),
        pytest.param([6.0, 6.0, 6.0, 0.0], True, id="in time again"),
    ],
)
def test_loop_lag(lags, healthy):
    lag = LoopLag()
    for value in lags:
        lag.note(value)
    assert (lag.check() is None) is healthy


def test_a_limit_says_what_takes_how_long():
    check = limit("a reconcile runs", lambda: 301.0, 300.0)
    assert check() == "a reconcile runs for 301 s"
    assert limit("a reconcile runs", lambda: 299.0, 300.0)() is None


@pytest.fixture
async def health():
    health = Health()
    async with health.serve("127.0.0.1", 0) as port:
        health.base = f"http://127.0.0.1:{port}"
        yield health


async def ask(health, path):
    async with aiohttp.ClientSession() as session, session.get(health.base + path) as response:
        return response.status, await response.text()


async def test_all_is_well(health):
    assert await ask(health, "/healthz") == (200, "ok\n")
    assert await ask(health, "/readyz") == (200, "ok\n")


async def test_what_is_wrong_is_named_and_readiness_is_another_matter(health):
    health.ready["ingest"] = lambda: "no certificate yet"
    assert await ask(health, "/readyz") == (503, "ingest: no certificate yet\n")
    assert (await ask(health, "/healthz"))[0] == 200
    health.ready["ingest"] = lambda: None
    assert (await ask(health, "/readyz"))[0] == 200


async def test_metrics_speak_the_vocabulary_of_controller_runtime(health):
    status, text = await ask(health, "/metrics")
    assert status == 200
    names = {
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_reconcile_time_seconds",
        "workqueue_depth",
        "workqueue_adds_total",
        "workqueue_queue_duration_seconds",
        "workqueue_work_duration_seconds",
        "workqueue_retries_total",
        "rest_client_requests_total",
        "leader_election_master_status",
        "perennial_trainingjobs_total",
        "perennial_retrains_total",
    }
    assert names <= {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
