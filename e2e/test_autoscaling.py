"""Kubernetes' own autoscaler and a deployment: it says how many pods serve, also during a rollout, and none fails."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import audit, operators
from e2e.diary import Diary
from e2e.lab import Body, Lab, condition, is_true
from e2e.load import Load
from e2e.metrics_server import MetricsServer, by_cpu
from e2e.served import Served, odd_server, tried
from e2e.space import Space, serving
from e2e.store import Store

# The autoscaler itself is Kubernetes' own; what it is told is tested on the API server each time.
pytestmark = pytest.mark.full
NAME, BLIND, BESIDE = "scaled", "blind", "beside"
AUTOSCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
MOST = 3  # pods
# A request takes more than half a millisecond of CPU: twice what three pods are to use, and a part of what one is to.
BUSY, QUIET = 150, 5  # requests per second
REQUESTS: Body = {"requests": {"cpu": "30m", "memory": "32Mi"}}
AUTOSCALING = by_cpu(50, 1, MOST)
CANARY: Body = {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}
BLUE_GREEN: Body = {"blueGreen": {"autoPromotionEnabled": False}}


def deployment(name: str, strategy: Body = CANARY, resources: Body = REQUESTS) -> Body:
    """One that is scaled by the CPU of its pods."""
    return serving(name, template=odd_server(resources=resources), strategy=strategy, autoscaling=AUTOSCALING)


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store, metrics_server: MetricsServer) -> Space:
    """One that is scaled, one whose pods request no CPU, and one with a version beside it that gets no requests."""
    space = Space(lab, "e2e-autoscaling", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(*(tried(store, name, 1) for name in (NAME, BLIND, BESIDE)))
    # A pod that burns uses all of what it requests.
    resources = {BLIND: {"requests": {"memory": "32Mi"}}, BESIDE: {"requests": {"cpu": "100m", "memory": "32Mi"}}}
    space.apply(deployment(NAME), deployment(BLIND, resources=resources[BLIND]))
    space.apply(deployment(BESIDE, BLUE_GREEN, resources[BESIDE]))
    for name in (NAME, BLIND, BESIDE):
        space.serves(name, 1)
    space.apply(tried(store, BESIDE, 2))
    return space


@pytest.fixture(scope="module")
def diary(space: Space) -> Iterator[Diary]:
    """What became of pods and deployments, from before the load."""
    with Diary(space.lab, space.name) as diary:
        yield diary


@pytest.fixture(scope="module")
def measured(space: Space, diary: Diary) -> float:
    """When the autoscaler had measured the pods, and the deployment had heard of it, in seconds since the epoch."""

    def check() -> bool:
        complaint = condition(space.get("modeldeployment", NAME), "Autoscaling")
        return is_true(space.get("hpa", NAME), "ScalingActive") and complaint["status"] == "Missing"

    space.until("the autoscaler scales", check)
    return time.time()


@pytest.fixture(scope="module")
def burning(space: Space, measured: float) -> None:
    """The one pod that gets requests uses twice what it is to, and the one beside it nothing."""

    def stands_beside() -> bool:
        found = space.get("modeldeployment", BESIDE) or {}
        return "stepTime" in (found["status"].get("rollout") or {})

    space.until("version 2 stands beside version 1", stands_beside)
    burn = ["curl", "--silent", "--fail", f"{space.address(BESIDE)}/burn"]
    space.lab.run(*space.lab.cluster.exec_command(burn))


@pytest.fixture(scope="module")
def busy(space: Space, measured: float, burning: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """More than one pod is to take."""
    assert wanted(space) == 1
    folder = Path(tmp_path_factory.mktemp("busy"))
    with Load(space.lab, folder, space.address(NAME), rate=BUSY) as load:
        yield Served(space, load, NAME)


def wanted(space: Space, name: str = NAME) -> int:
    """How many pods are to serve."""
    return int((space.get("modeldeployment", name) or {})["spec"]["replicas"])


def said(diary: Diary, since: float) -> set[str]:
    """What the deployment said since then of its autoscaler: `Missing` is that it scales."""
    states = diary.states("modeldeployments", NAME)
    return {condition(seen.body, "Autoscaling")["status"] for seen in states if seen.at >= since}


def fewest(diary: Diary, since: float) -> int:
    """How many pods at least were ready, and not on their way out, at every time since then."""
    moments = sorted(
        (seen.at, states[0].body["metadata"]["name"], _serves(seen.body))
        for states in diary.pods("perennial.dev/modeldeployment", NAME)
        for seen in states
    )
    now: dict[str, bool] = {}
    counts = []
    for at, name, serves in moments:
        # What it was at the beginning counts, too.
        if at >= since:
            counts.append(sum(now.values()))
        now[name] = serves
    return min([*counts, sum(now.values())])


def _serves(pod: Body) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready")["status"] == "True"


def owners(space: Space) -> list[tuple[str, str]]:
    """Who says how many pods are to serve, and through which subresource."""
    text = space.kubectl("get", "modeldeployment", NAME, "-o", "json", "--show-managed-fields")
    return [
        (entry["manager"], entry.get("subresource", ""))
        for entry in json.loads(text)["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]


def written(space: Space, user: str, since: float) -> set[str]:
    """The subresources of the deployment that a user wrote since then; one that is empty is the deployment itself."""
    entries = (entry["objectRef"] for entry in audit.writes(space.lab, user, since))
    return {
        what.get("subresource", "")
        for what in entries
        if (what.get("resource"), what.get("namespace"), what.get("name")) == ("modeldeployments", space.name, NAME)
    }


def full(space: Space, pods: int) -> None:
    """Wait until so many pods are wanted and ready, and nothing is left to do."""

    def check() -> bool:
        found = space.get("modeldeployment", NAME) or {}
        counts = {found["spec"]["replicas"], found["status"].get("readyReplicas")}
        return counts == {pods} and is_true(found, "Ready")

    space.until(f"{pods} pods serve", check)


def test_load_brings_pods(space: Space, busy: Served) -> None:
    began = time.monotonic()
    full(space, MOST)
    print(f"{MOST} pods after {time.monotonic() - began:.0f} s")
    busy.unharmed(1)


def test_a_new_version_under_load_leaves_as_many_pods_as_the_autoscaler_wants(
    space: Space, busy: Served, diary: Diary, store: Store
) -> None:
    began = time.time()
    space.apply(tried(store, NAME, 2))
    busy.at(1)
    busy.ask("skip-step", "1")
    space.serves(NAME, 2)
    assert wanted(space) == MOST
    assert fewest(diary, began) == MOST
    busy.unharmed(2)


def test_only_the_autoscaler_says_how_many_serve(space: Space, busy: Served, began: float) -> None:
    # Of a manifest that leaves it out, as it should.
    space.apply(deployment(NAME))
    assert wanted(space) == MOST
    assert owners(space) == [("kube-controller-manager", "scale")]
    assert written(space, AUTOSCALER, began) == {"scale"}
    assert written(space, operators.USER, began) == {"status"}


def test_one_that_cannot_be_measured_says_why_and_serves(space: Space) -> None:
    space.says("modeldeployment", BLIND, "Autoscaling", "False", "missing request for cpu in container server")
    assert is_true(space.get("modeldeployment", BLIND), "Ready")


def test_pods_that_get_no_requests_do_not_hide_a_load(space: Space, burning: None) -> None:
    # The mean of it and of the idle one beside it would be just what is asked for.
    space.until("a second pod takes its part", lambda: wanted(space, BESIDE) > 1, 90)


def test_less_load_takes_pods_away_in_the_middle_of_a_rollout(
    space: Space, busy: Served, diary: Diary, measured: float, store: Store, tmp_path: Path
) -> None:
    space.apply(tried(store, NAME, 3))
    busy.at(1)
    assert said(diary, measured) == {"Missing"}
    began = time.monotonic()
    with Load(space.lab, tmp_path, space.address(NAME), rate=QUIET) as load:
        counts = busy.load.stop()
        assert counts["failures"] == 0, counts["words"]
        space.until("one pod is wanted", lambda: wanted(space) == 1)
        print(f"1 pod is wanted after {time.monotonic() - began:.0f} s")
        quiet = Served(space, load, NAME)
        # One of each version: more is not left to the rollout.
        space.until("two pods are left", lambda: quiet.deployment["status"].get("readyReplicas") == 2)
        quiet.at(1)
        quiet.ask("skip-step", "2")
        space.serves(NAME, 3)
        full(space, 1)
        assert fewest(diary, measured) == 1
        quiet.unharmed(3)
    counts = load.stop()
    assert counts["failures"] == 0, counts["words"]
