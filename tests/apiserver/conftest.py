"""A real API server for all tests of this folder, a namespace for each, and a client."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import TRAININGJOBS
from perennial.kube import login
from perennial.kube.http import HttpClient
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import PRESETS, USER, Perennial, apply_gateway_kinds, apply_kinds, eventually
from tests.apiserver.space import Space
from tests.apiserver.toy import CRD
from tests.receiver import Receiver, receiver


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd and kube-apiserver, without nodes and controllers: Jobs and pods are what the tests make of them."""
    with ApiServer(tmp_path_factory.mktemp("apiserver")) as server:
        yield server


@pytest.fixture(scope="session")
def kinds(apiserver: ApiServer) -> ApiServer:
    """The server, with the CustomResourceDefinitions of Perennial."""
    apply_kinds(apiserver)
    apply_gateway_kinds(apiserver)
    return apiserver


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A new, empty namespace."""
    made = apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    return str(made["metadata"]["name"])


@pytest_asyncio.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[HttpClient]:
    """The administrator's client."""
    async with HttpClient(login.load(str(apiserver.kubeconfig))) as client:
        yield client


@pytest.fixture(scope="session")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with an audit log, the kinds of Perennial, and Kubernetes' own controllers, which make a Job's pods."""
    folder = tmp_path_factory.mktemp("controlled")
    with ApiServer(folder, users={USER: ["system:masters"]}, audit=True, controller_manager=True) as server:
        apply_kinds(server)
        apply_gateway_kinds(server)
        yield server


@pytest.fixture(scope="session")
def people() -> Iterator[Receiver]:
    """Who is told, under the name `people`."""
    with receiver() as people:
        yield people


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's configuration file, with a preset for training and one for serving, as every release reads it."""
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(json.dumps(PRESETS))
    return path


@pytest.fixture(scope="session")
def perennial(controlled: ApiServer, config: Path, people: Receiver) -> Iterator[Perennial]:
    """The real operator, all its kinds; it knows people."""
    whole = PRESETS | {"receivers": {"people": {"form": "CloudEvents", "url": people.url}}}
    path = config.with_name("perennial.yaml")
    path.write_text(json.dumps(whole))
    with Perennial(controlled, "perennial-0", path) as operator:
        operator.started()
        yield operator


@pytest.fixture
def space(perennial: Perennial, controlled: ApiServer) -> Space:
    """A new namespace that the real operator serves."""
    return Space(controlled)


@pytest.fixture
def kubelet(space: Space) -> Kubelet:
    """The kubelet of that namespace, for the test to play."""
    return Kubelet(space)


@pytest.fixture(scope="module")
def toy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of the module's own, to be killed, with the toy kind and an audit log."""
    users = {USER: ["system:masters"]}
    with ApiServer(tmp_path_factory.mktemp("toy"), users=users, audit=True) as server:
        server.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
        eventually(lambda: server.request("GET", TRAININGJOBS.path("default")))
        yield server
