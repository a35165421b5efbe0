"""The chart's life with a real helm and API server: install, upgrade, uninstall, install again, a second release."""

import json
from collections.abc import Iterator

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.crds import crds
from perennial.api.resources import TRAININGJOBS
from tests.apiserver.charts import CHART, helm

KINDS = sorted(crd["metadata"]["name"] for crd in crds().values())
JOB = {
    "apiVersion": TRAININGJOBS.api_version,
    "kind": "TrainingJob",
    "metadata": {"name": "kept"},
    "spec": {"model": {"name": "m"}, "runtime": "python"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("chart")) as server:
        yield server


def install(server: ApiServer, *words: str, release: str = "perennial", namespace: str = "perennial-system") -> str:
    return helm(server, "upgrade", "--install", release, str(CHART), "-n", namespace, "--create-namespace", *words)


def installed(server: ApiServer) -> list[str]:
    found = json.loads(server.kubectl("get", "crd", "-l", "app.kubernetes.io/part-of=perennial", "-o", "json"))
    return sorted(item["metadata"]["name"] for item in found["items"])


def test_who_installs_into_one_namespace_before_the_kinds_are_there_is_told(server: ApiServer) -> None:
    notes = install(server, "--set", "scope=Namespaced", namespace="early")
    assert "The kinds of perennial.dev are not there yet" in notes
    helm(server, "uninstall", "perennial", "-n", "early")


def test_from_install_to_a_second_life(server: ApiServer) -> None:
    notes = install(server)
    assert "https://perennial.perennial-system.svc/v1/namespaces/" in notes
    assert installed(server) == KINDS
    server.kubectl("wait", "--for=condition=Established", "crd", *KINDS)
    server.request("POST", TRAININGJOBS.path("default"), JOB)

    install(server, "--set", "replicas=3", "--set", "defaults.output=s3://acme/models")
    shown = json.loads(server.kubectl("get", "deployment", "perennial", "-n", "perennial-system", "-o", "json"))
    assert shown["spec"]["replicas"] == 3

    # Another release beside it: of the same name, in another namespace.
    install(server, "--set", "crds.enabled=false,policies.enabled=false,replicas=0", namespace="trial")
    helm(server, "uninstall", "perennial", "-n", "trial")
    assert installed(server) == KINDS

    helm(server, "uninstall", "perennial", "-n", "perennial-system")
    assert installed(server) == KINDS
    kept = server.request("GET", TRAININGJOBS.path("default", "kept"))
    assert kept["spec"]["runtime"] == "python"
    assert not server.kubectl(
        "get", "clusterrole,validatingadmissionpolicy", "-l", "app.kubernetes.io/part-of=perennial"
    )

    install(server, "--take-ownership", release="again", namespace="elsewhere")
    assert server.request("GET", TRAININGJOBS.path("default", "kept"))["metadata"]["uid"] == kept["metadata"]["uid"]
