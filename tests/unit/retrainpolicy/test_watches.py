"""Which policies an event of another object concerns."""

import pytest

from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, TRAININGJOBS, Resource, of
from perennial.plan import Body
from perennial.retrainpolicy import CONTROLLER
from tests.unit.retrainpolicy.builders import ACCURACY, Team, a_deployment, a_policy, a_series, a_version


def keys(resource: Resource, body: Body) -> list[tuple[str, str]]:
    team = Team(a_policy(ACCURACY))
    other = a_policy(ACCURACY, deployment={"name": "other"})
    other["metadata"] |= {"name": "other", "uid": "uid-other"}
    team.world.add(other)
    return [tuple(name) for name in CONTROLLER.watches[resource](team.world, body)]


@pytest.mark.parametrize(
    "body", [a_deployment(), a_series(), a_version(2, 1, "churn-1")], ids=lambda body: body["kind"]
)
def test_what_is_watched_concerns_its_policies(body: Body) -> None:
    assert keys(of(body), body) == [("team", "churn")]


def test_a_training_concerns_the_policy_that_made_it() -> None:
    job = Team(a_policy(ACCURACY)).report(0.1).settle().job()
    assert keys(TRAININGJOBS, job) == [("team", "churn")]
    # Somebody took them off; who made it is known all the same.
    del job["metadata"]["labels"]
    assert keys(TRAININGJOBS, job) == [("team", "churn")]
    del job["metadata"]["annotations"]
    assert keys(TRAININGJOBS, job) == []


def test_others_concern_nobody() -> None:
    version = a_version(2, 1, "churn-1")
    del version["spec"]["retrain"]
    assert keys(MODELVERSIONS, version) == []
    deployment = a_deployment()
    deployment["metadata"]["name"] = "third"
    assert keys(MODELDEPLOYMENTS, deployment) == keys(METRICSERIES, deployment) == []
