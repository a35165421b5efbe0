"""The gateway of the cluster does what routes say: without it, what is built on routes proves nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.gateway import CLASS, Gateway, is_routed, route
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.served import odd_server, share
from e2e.space import Space

# What is built on it is played on the API server each time.
pytestmark = pytest.mark.full
HOST = "weighted.example"
RATE = 250  # requests per second
SAMPLE = 5_000
MODEL = "/model"
VERSIONS = {"first": 1, "second": 2}


def plain(name: str, version: int) -> list[Body]:
    """A server that tells its version, and a Service for it."""
    labels = {"app": name}
    told = {"PERENNIAL_MODEL_DIR": MODEL, "PERENNIAL_MODEL_VERSION": str(version), "PERENNIAL_REVISION": name}
    template = odd_server(
        {
            "securityContext": {"runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "model", "configMap": {"name": "fine"}}],
        },
        env=[{"name": key, "value": value} for key, value in told.items()],
        volumeMounts=[{"name": "model", "mountPath": MODEL}],
    )
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, **template}}
    service = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]


@pytest.fixture(scope="module")
def space(lab: Lab) -> Space:
    """Two servers."""
    space = Space(lab, "e2e-gateway", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    fine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fine"}, "data": {"behaviour.txt": "fine"}}
    space.apply(fine, *(body for name, version in VERSIONS.items() for body in plain(name, version)))
    for name in VERSIONS:
        space.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
    return space


@pytest.fixture(scope="module")
def load(space: Space, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """What comes in at the gateway while weights change: a tenth of it is for the second server, at first."""
    weigh(space, {"first": 90, "second": 10})
    # The first requests would find no route yet.
    space.until("the gateway leads here", lambda: gateway.answers(HOST))
    folder = Path(tmp_path_factory.mktemp("gateway"))
    with Load(space.lab, folder, gateway.url, rate=RATE, host=HOST) as load:
        yield load


def weigh(space: Space, weights: Mapping[str, int]) -> None:
    """Route by these weights, as far as the gateway says."""
    space.apply(route("weighted", HOST, weights))
    space.until("the route is taken", lambda: is_routed(space.get("httproute", "weighted")))


def test_requests_follow_the_weights(space: Space, load: Load) -> None:
    tenth = share(space, load, VERSIONS["second"], SAMPLE)
    weigh(space, {"first": 50, "second": 50})
    space.until("requests follow", lambda: share(space, load, VERSIONS["second"], 100) > 30)
    half = share(space, load, VERSIONS["second"], SAMPLE)
    print(f"10% was {tenth:.2f}%, 50% was {half:.2f}%")
    assert abs(tenth - 10) < 2
    assert abs(half - 50) < 2


def test_a_change_of_weights_costs_no_request(load: Load) -> None:
    counts = load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
    assert min(counts["requests"].values()) > SAMPLE / 2


def test_a_route_to_nowhere_says_so(space: Space, gateway: Gateway) -> None:
    space.apply(route("nowhere", "nowhere.example", {"first": 1, "missing": 1}))

    def reasons() -> set[str]:
        found = space.get("httproute", "nowhere") or {}
        parents = (found.get("status") or {}).get("parents") or ()
        return {condition["reason"] for parent in parents for condition in parent["conditions"]}

    space.until("the gateway says so", lambda: "BackendNotFound" in reasons())
    assert not is_routed(space.get("httproute", "nowhere"))


def test_an_ingress_leads_here_too(space: Space, gateway: Gateway) -> None:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "first", "port": {"name": "http"}}}}
    spec = {"ingressClassName": CLASS, "rules": [{"host": "ingress.example", "http": {"paths": [path]}}]}
    metadata = {"name": "ingress"}
    space.apply({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
    space.until("the ingress leads here", lambda: gateway.answers("ingress.example"))
