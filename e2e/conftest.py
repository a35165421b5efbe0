"""One cluster for all end-to-end tests, with Perennial of this tree installed by Helm, and a store for models."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e import operators
from e2e.begun import Played, lose_nodes, play, retrained, schedule
from e2e.demo.story import NAMESPACE
from e2e.gateway import Gateway, define
from e2e.hollow import LABEL
from e2e.lab import SYSTEM, Lab
from e2e.metrics_server import MetricsServer
from e2e.space import MARK, Space
from e2e.store import Store
from tests.prove.report import FULL

# Several runs side by side are told apart by it.
CLUSTER = os.environ.get("E2E_CLUSTER", "perennial-e2e")
# What waits most is begun first; what takes the operator away, or looks back on everything, comes last.
ORDER = (
    "training", "serving", "truth", "faults", "failover", "replicas", "schedule", "demo", "chart", "node", "rights",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes too long for each time: in the full proof only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if FULL else [item for item in items if item.get_closest_marker("full")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)

    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if name in ORDER else -1

    items.sort(key=place)


@contextmanager
def told(config: pytest.Config) -> Iterator[None]:
    """What takes minutes shows its progress, and not only when it fails."""
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        yield


@pytest.fixture(scope="session")
def began() -> float:
    """When this session began, in seconds since the epoch."""
    return time.time()


@pytest.fixture(scope="session")
def lab(began: float, pytestconfig: pytest.Config) -> Iterator[Lab]:
    """The cluster, with two ready replicas of the operator. E2E_KEEP=1 leaves it up for the next time."""
    lab = Lab(CLUSTER)
    try:
        with told(pytestconfig):
            lab.up()
            # Of an earlier session that left them behind, on purpose or not.
            lab.kubectl("delete", "namespace", "--selector", MARK, "--timeout=300s")
            lab.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s")
            lab.kubectl("delete", "lease", "-n", SYSTEM, operators.LEASE, "--ignore-not-found")
            define(lab)
            lab.install()
            operators.ready(lab)
        yield lab
    finally:
        if not os.environ.get("E2E_KEEP"):
            with told(pytestconfig):
                lab.cluster.down()


@pytest.fixture(scope="session")
def store(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3 store that pods can reach."""
    store = Store(lab, Path(tmp_path_factory.mktemp("store")))
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def gateway(lab: Lab, pytestconfig: pytest.Config) -> Gateway:
    """A gateway that routes by HTTPRoutes and Ingresses; built, some minutes, when first asked for."""
    gateway = Gateway(lab)
    with told(pytestconfig):
        gateway.install()
    return gateway


@pytest.fixture(scope="session")
def metrics_server(lab: Lab, pytestconfig: pytest.Config) -> MetricsServer:
    """What autoscalers scale by; built, some minutes, when first asked for."""
    server = MetricsServer(lab)
    with told(pytestconfig):
        server.install()
    return server


@pytest.fixture(scope="session")
def scheduled(lab: Lab) -> Space:
    """A policy that trains every minute."""
    return schedule(lab)


@pytest.fixture(scope="session")
def retraining(lab: Lab) -> Space:
    """A model that is retrained when it is said to be bad."""
    return retrained(lab)


@pytest.fixture(scope="session")
def playing(lab: Lab) -> "Future[Played]":
    """The demo's loop, which is mostly waiting."""
    return ThreadPoolExecutor(1).submit(play, lab)


@pytest.fixture(scope="session")
def lost(lab: Lab) -> "Iterator[Future[Space]]":
    """What runs on nodes that are lost: the cluster takes a minute to believe it."""
    losing = ThreadPoolExecutor(1).submit(lose_nodes, lab)
    yield losing
    wait([losing])
    # A cluster with such a node is not taken for well.
    lab.kubectl("delete", "nodes", "--selector", LABEL)


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """What takes long and needs nobody is begun at once, if a test of this session wants it."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("playing", "scheduled", "retraining", "lost"):
        if name in wanted:
            request.getfixturevalue(name)
