"""What people say of a rollout, as it is written to the ModelDeployment."""

from typing import Any

import pytest

from perennial.api.resources import Resource
from perennial.cli import arguments, rollout
from perennial.cli.cluster import Cluster
from perennial.cli.problem import Problem
from perennial.plan import Body

ROLLING: Body = {"rollout": {"revision": "churn-b"}, "stableRevision": "churn-a"}
PAST: Body = {
    "stableRevision": "churn-c",
    "promotions": [{"revision": name} for name in ("churn-c", "churn-b", "churn-c", "churn-a")],
}


class Told(Cluster):
    """A cluster with the ModelDeployment `churn`, and what is written to it."""

    def __init__(self, status: Body, **spec: Any) -> None:
        self.namespace = "team"
        self.status, self.spec = status, spec
        self.change: Body = {}

    def get(self, resource: Resource, name: str) -> Body:
        return {"metadata": {"name": name}, "spec": self.spec, "status": self.status}

    def patch(self, resource: Resource, name: str, change: Any) -> None:
        self.change = change

    @property
    def annotation(self) -> tuple[str, str]:
        ((name, value),) = self.change["metadata"]["annotations"].items()
        return name, value


@pytest.mark.parametrize(
    ("what", "status", "annotation", "words"),
    [
        ("promote", ROLLING, "perennial.dev/promote", "churn-b is promoted"),
        ("skip-step", ROLLING, "perennial.dev/skip-step", "churn-b goes on with its next step"),
        ("abort", ROLLING, "perennial.dev/abort", "churn-b is rolled back, and vetoed"),
        ("retry", {"vetoes": [{"revision": "churn-b"}]}, "perennial.dev/retry", "churn-b may be tried again"),
        ("undo", PAST, "perennial.dev/undo", "back to churn-b;"),
    ],
)
def test_asked_for_by_annotation(what: str, status: Body, annotation: str, words: str) -> None:
    cluster = Told(status)
    assert f"modeldeployment churn: {words}" in rollout.run(cluster, what, "churn")
    first = cluster.annotation
    rollout.run(cluster, what, "churn")
    assert first[0] == annotation
    assert first != cluster.annotation, "each time is a request of its own"


def test_undo_goes_back_to_the_one_that_is_named() -> None:
    cluster = Told(PAST)
    rollout.run(cluster, "undo", "churn", "churn-a")
    assert cluster.annotation[1].split()[0] == "churn-a"


def test_a_rollout_is_held_and_goes_on() -> None:
    cluster = Told(ROLLING)
    assert rollout.run(cluster, "pause", "churn") == "modeldeployment churn: paused"
    assert cluster.change == {"spec": {"paused": True}}
    cluster = Told(ROLLING, paused=True)
    rollout.run(cluster, "resume", "churn")
    assert cluster.change == {"spec": {"paused": False}}


@pytest.mark.parametrize(
    ("what", "revision", "status", "words"),
    [
        ("promote", None, {}, "nothing is rolled out now"),
        ("abort", None, PAST, "nothing is rolled out now"),
        ("retry", None, ROLLING, "nothing is vetoed here"),
        ("undo", None, ROLLING, "no other revision served here before, as far as is remembered; there is none"),
        ("undo", "x", PAST, "'x' did not serve here before, as far as is remembered; there are churn-b, churn-a"),
        ("undo", "churn-c", PAST, "'churn-c' did not serve here before"),
        ("resume", None, ROLLING, "spec.paused is false already"),
    ],
)
def test_where_there_is_nothing_to_ask_for_it_is_said(
    what: str, revision: str | None, status: Body, words: str
) -> None:
    cluster = Told(status)
    with pytest.raises(Problem, match=words):
        rollout.run(cluster, what, "churn", revision)
    assert cluster.change == {}


def test_every_one_of_them_is_on_the_command_line() -> None:
    assert arguments.OF_ROLLOUTS.keys() == rollout.ASKS.keys()
