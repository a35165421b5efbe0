"""One cluster for all end-to-end tests, with Perennial of this tree installed by Helm, and a store for models."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from e2e import session
from e2e.begun import Played, lose_nodes, play, retrained, schedule
from e2e.gateway import Gateway
from e2e.hollow import LABEL
from e2e.lab import Lab
from e2e.metrics_server import MetricsServer
from e2e.mirroring import Mirroring
from e2e.space import Space
from e2e.store import Store
from tests.prove.report import FULL

# What takes longest is begun first, and of what puts load on the machine one after the other.
ORDER = ("canary", "training", "blue_green", "truth", "serving")
# What takes the operator or the node away, or looks back on everything, comes last, with nothing beside it.
ALONE = ("prometheus", "failover", "replicas", "schedule", "chart", "node", "rights")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes too long for each time: in the full proof only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if FULL else [item for item in items if item.get_closest_marker("full")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)

    def place(item: pytest.Item) -> int:
        name = _module(item)
        if name in ALONE:
            return len(ORDER) + 1 + ALONE.index(name)
        return ORDER.index(name) if name in ORDER else len(ORDER)

    items.sort(key=place)
    for item in items:
        if _module(item) in ALONE:
            item.add_marker("alone")


def _module(item: pytest.Item) -> str:
    return item.path.stem.removeprefix("test_")


@contextmanager
def told(config: pytest.Config) -> Iterator[None]:
    """What takes minutes shows its progress, and not only when it fails."""
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        yield


@pytest.fixture(scope="session")
def began() -> float:
    """When the first test on this cluster began, in seconds since the epoch."""
    return float(os.environ.get("E2E_BEGAN") or time.time())


@pytest.fixture(scope="session")
def lab(began: float, pytestconfig: pytest.Config) -> Iterator[Lab]:
    """The cluster: that of `python -m e2e`, or one of this session's own."""
    if "E2E_BEGAN" in os.environ:
        yield Lab(session.CLUSTER)
        return
    with ExitStack() as stack:
        with told(pytestconfig):
            lab = stack.enter_context(session.cluster())
        yield lab
        with told(pytestconfig):
            stack.close()


@pytest.fixture(scope="session")
def store(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An S3 store that pods can reach."""
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    store = Store(lab, Path(tmp_path_factory.mktemp("store")), lane)
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
def mirroring(lab: Lab, pytestconfig: pytest.Config) -> Mirroring:
    """A gateway that copies requests; built, some minutes, when first asked for."""
    gateway = Mirroring(lab)
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
    """What takes long and needs nobody is begun at once, if a test of this session wants it; lanes wait for each other
    less, and begin it when they come to it."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("playing", "scheduled", "retraining", "lost"):
        if name in wanted:
            request.getfixturevalue(name)
