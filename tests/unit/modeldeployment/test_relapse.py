"""A version that a RetrainPolicy found to be no good after all: what served before comes back, at once."""

from datetime import timedelta

import pytest

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_PROMOTE, ANNOTATION_RETRY
from perennial.api.resources import RETRAINPOLICIES
from perennial.modeldeployment import CONTROLLER
from perennial.plan import Body
from tests.unit.modeldeployment.play import ask, passes, reasons
from tests.unit.modeldeployment.test_canary import canary
from tests.unit.modeldeployment.world import NAMESPACE, World, a_version

WORDS = "churn-2 relapsed: accuracy is 0.7, below 0.9"


def served() -> World:
    """Version 2 serves, and version 1 did before."""
    world = World(a_version(1), replicas=3, strategy=canary())
    world.settle()
    world.put(a_version(2))
    passes(world)
    ask(world, ANNOTATION_PROMOTE)
    passes(world, 600)
    assert world.serves == 2
    return world


def a_policy(world: World, version: int = 2, deployment: str = "churn", ago: timedelta = timedelta()) -> Body:
    """It says that this version relapsed."""
    run = {
        "number": 1,
        "cause": {"trigger": "accuracy", "type": "Metric"},
        "phase": "RolledBack",
        "modelVersion": f"churn-{version}",
        "startTime": format_time(world.now - timedelta(hours=1)),
        "relapseTime": format_time(world.now - ago),
        "message": WORDS,
    }
    return {
        "apiVersion": RETRAINPOLICIES.api_version,
        "kind": RETRAINPOLICIES.kind,
        "metadata": {"name": "churn", "namespace": NAMESPACE, "uid": "uid-policy"},
        "spec": {"deployment": {"name": deployment}},
        "status": {"runs": [run]},
    }


def test_what_served_before_comes_back_without_steps() -> None:
    world = served()
    first = world.status["promotions"][1]["revision"]
    world.put(a_policy(world))
    passes(world)
    assert (world.serves, world.stable) == (1, first)
    assert "Relapsed" in reasons(world)
    assert world.candidate(2)["reason"] == "Relapsed"
    assert world.condition("Stalled") == ("True", "RolloutFailed")
    assert WORDS in world.message("Stalled")
    assert "Make another version, or have it tried again" in world.message("Stalled")
    assert [veto["reason"] for veto in world.status["vetoes"]] == ["Relapsed"]


def test_another_template_does_not_make_it_better() -> None:
    world = served()
    world.put(a_policy(world))
    passes(world)
    world.change(scaleDownDelay="1s", template={"spec": {"containers": [{"name": "server", "image": "other:2"}]}})
    passes(world)
    ask(world, ANNOTATION_PROMOTE)
    passes(world, 600)
    assert world.serves == 1
    world.put(a_version(3))
    passes(world)
    assert world.status["rollout"]["version"] == 3


def test_a_person_may_have_it_tried_again() -> None:
    world = served()
    world.put(a_policy(world))
    passes(world, 60)
    assert world.serves == 1
    ask(world, ANNOTATION_RETRY)
    passes(world)
    ask(world, ANNOTATION_PROMOTE, "again")
    passes(world, 600)
    assert world.serves == 2, "what the policy says is of the time before"


@pytest.mark.parametrize("other", ["another deployment's", "another version's", "of a time before"])
def test_it_is_of_this_version_here_and_now(other: str) -> None:
    world = served()
    policies = {
        "another deployment's": a_policy(world, deployment="other"),
        "another version's": a_policy(world, version=1),
        "of a time before": a_policy(world, ago=timedelta(hours=3)),
    }
    world.put(policies[other])
    passes(world)
    assert world.serves == 2


def test_with_nothing_to_go_back_to_it_keeps_serving_and_says_so() -> None:
    world = World(a_version(1), replicas=3)
    world.settle()
    world.put(a_policy(world, version=1))
    passes(world)
    assert world.serves == 1
    assert world.condition("Stalled") == ("True", "ServedVersionRejected")
    assert "version 1 relapsed" in world.message("Stalled")
    world.put(a_version(2))
    passes(world)
    assert world.serves == 2


def test_only_a_relapse_wakes_the_deployment() -> None:
    world = served()
    watch = CONTROLLER.watches[RETRAINPOLICIES]
    policy = a_policy(world)
    assert [name.name for name in watch(world, policy)] == ["churn"]
    del policy["status"]["runs"][0]["relapseTime"]
    assert list(watch(world, policy)) == []
