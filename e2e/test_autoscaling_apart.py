"""Two revisions behind a gateway, and Kubernetes' own autoscaler for each: one's load is not the other's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import audit, operators
from e2e.gateway import NAME as PUBLIC
from e2e.gateway import NAMESPACE, Gateway
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.metrics_server import MetricsServer, by_cpu
from e2e.served import Served, odd_server, tried
from e2e.space import Space, serving
from e2e.store import Store

# A gateway and what measures pods take minutes to be built; on the API server the pods are played each time.
pytestmark = pytest.mark.full
NAME, PREVIEW, HOST = "apart", "apart-preview", "apart.example"
LEAST, MOST = 2, 4  # pods
STEPS: list[Body] = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]


@pytest.fixture(scope="module")
def busy(
    lab: Lab, store: Store, metrics_server: MetricsServer, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Version 1 serves with two pods behind the gateway; it has little to do."""
    space = Space(lab, "e2e-apart", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, NAME, 1))
    fields: Body = {
        "route": {"parentRefs": [{"name": PUBLIC, "namespace": NAMESPACE}], "hostnames": [HOST]},
        "strategy": {"canary": {"steps": STEPS}},
        "autoscaling": by_cpu(80, LEAST, MOST),
        "scaleDownDelay": "5s",
    }
    template = odd_server(resources={"requests": {"cpu": "50m", "memory": "32Mi"}})
    space.apply(serving(NAME, template=template, **fields))
    space.serves(NAME, 1)
    space.says("mdep", NAME, "Ready", "True", f"{LEAST} of {LEAST} replicas ready")
    # From now on the least is less than what serves.
    space.apply(serving(NAME, template=template, **(fields | {"autoscaling": by_cpu(80, 1, MOST)})))
    space.apply(tried(store, NAME, 2))
    space.until("the gateway leads here", lambda: gateway.answers(HOST))
    with Load(lab, Path(tmp_path_factory.mktemp("apart")), gateway.url, rate=20, host=HOST) as load:
        yield Served(space, load, NAME)


def bounds(space: Space, name: str) -> tuple[int, int]:
    spec = (space.get("hpa", name) or {})["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def pods(busy: Served) -> dict[int, int]:
    """How many pods each version wants."""
    found = busy.deployment["status"]["revisions"]
    return {one["version"]: one["replicas"] for one in found if one["replicas"]}


def test_the_new_revision_grows_by_its_own_load(busy: Served, began: float) -> None:
    busy.at(1)
    space = busy.space
    assert bounds(space, PREVIEW) == (1, MOST)
    (pod,) = space.every("pods", "perennial.dev/model-version=2")
    burn = ["curl", "--silent", "--fail", f"http://{pod['status']['podIP']}:8080/burn"]
    space.lab.run(*space.lab.cluster.exec_command(burn))
    # One pod of four that burns is less than half of what it is to use: three are left, at least.
    space.until("it has more pods than serve", lambda: pods(busy).get(2, 0) > LEAST, 120)
    floor, most = bounds(space, NAME)
    assert most == MOST
    assert pods(busy)[1] == floor, "and the stable one, which has nothing to do, keeps its own"
    new = busy.deployment["status"]["rollout"]["revision"]
    assert wrote(busy, new, began) == ["create"], "of a number that an autoscaler has, nothing"


def wrote(busy: Served, revision: str, since: float) -> list[str]:
    """How the operator wrote a revision's Deployment."""
    found = audit.writes(busy.space.lab, operators.USER, since)
    wanted = ("deployments", revision, busy.space.name)
    objects = [(one["verb"], one["objectRef"]) for one in found]
    return [verb for verb, what in objects if (what.get("resource"), what.get("name"), what.get("namespace")) == wanted]


def test_when_everything_is_asked_of_it_it_is_promoted_with_its_pods(busy: Served) -> None:
    busy.ask("skip-step", "1")
    busy.at(3)
    space = busy.space

    def agreed() -> int | None:
        wanted: int = busy.deployment["spec"]["replicas"]
        return wanted if wanted == pods(busy)[2] else None

    before = space.until("the deployment's autoscaler has measured it", agreed, 120)
    assert before > LEAST
    busy.ask("promote", "2")
    space.serves(NAME, 2)
    space.until("its own autoscaler is gone", lambda: space.get("hpa", PREVIEW) is None)
    space.until("only it has pods", lambda: set(pods(busy)) == {2})
    assert pods(busy)[2] == before
    busy.unharmed(2)
