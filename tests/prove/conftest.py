"""The servers and the operator that the proofs share with the API server tests, and servers of their own."""

from collections.abc import Iterator

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.kube import login
from tests.apiserver.conftest import (
    apiserver,
    config,
    controlled,
    kinds,
    kubelet,
    people,
    perennial,
    space,
    toy_server,
)
from tests.apiserver.operators import USER, apply_gateway_kinds, apply_kinds
from tests.bench.scene import FAST
from tests.gateways import Gateways
from tests.kubelets import KubeletsThread
from tests.prove.ingesting import operator, place

__all__ = [
    "apiserver",
    "config",
    "controlled",
    "kinds",
    "kubelet",
    "operator",
    "people",
    "perennial",
    "place",
    "space",
    "toy_server",
]

# What takes longest is begun first, so that no lane ends long before another.
_ORDER = ("eventually_stable", "stale", "exactly_once", "poison", "failover")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return _ORDER.index(name) if name in _ORDER else len(_ORDER)

    items.sort(key=place)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with Kubernetes' controllers, whose pods and gateways are played: each lane has an operator."""
    folder = tmp_path_factory.mktemp("played")
    with ApiServer(folder, users={USER: ["system:masters"]}, audit=True, controller_manager=True) as server:
        apply_kinds(server)
        apply_gateway_kinds(server)
        with KubeletsThread(login.load(str(server.kubeconfig))), Gateways(server):
            yield server


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server whose controllers hurry: they have to keep up with many namespaces at once; its gateways are played."""
    users = {USER: ["system:masters"]}
    folder = tmp_path_factory.mktemp("busy")
    with ApiServer(folder, users=users, controller_manager=True, controller_args=FAST) as server:
        apply_kinds(server)
        apply_gateway_kinds(server)
        with Gateways(server):
            yield server
