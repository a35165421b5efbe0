"""What a ModelVersion's status says of the deployments of its model."""

from datetime import UTC, datetime

import pytest

from perennial.api.resources import MODELVERSIONS
from perennial.config import Config
from perennial.modelversion import CONTROLLER
from perennial.plan import Body, Plan
from tests.world import World

VERSION: Body = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "churn-3", "namespace": "team", "uid": "v", "generation": 1},
    "spec": {"model": "churn", "version": 3},
}


def decide(status: Body, version: Body = VERSION, model: str = "churn") -> Plan:
    deployment = {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "prod", "namespace": "team"},
        "spec": {"model": {"name": model}},
        "status": status,
    }
    snapshot = CONTROLLER.gather(World(version, deployment), "team", "churn-3")
    return CONTROLLER.decide(snapshot, datetime(2026, 1, 1, tzinfo=UTC), Config())


PROMOTED = {"version": 3, "revision": "r3", "time": "2026-01-01T00:00:00Z"}
CASES: dict[str, tuple[Body, str, bool]] = {
    "served": ({"promotions": [PROMOTED], "stableRevision": "r3"}, "Serving", True),
    "replaced": (
        {"promotions": [{**PROMOTED, "version": 4, "revision": "r4"}, PROMOTED], "stableRevision": "r4"},
        "Superseded",
        False,
    ),
    "rolling out": ({"candidates": [{"version": 3, "state": "RollingOut", "reason": "Starting"}]}, "RollingOut", True),
    "waiting": (
        {"candidates": [{"version": 3, "state": "Waiting", "reason": "Approval", "message": "m"}]},
        "Waiting",
        False,
    ),
    "below the gate": ({"candidates": [{"version": 3, "state": "Rejected", "reason": "Gate"}]}, "Rejected", False),
    "failed here": ({"vetoes": [{"version": 3, "reason": "ModelLoadFailed"}]}, "Vetoed", False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_deployments_word_is_on_the_version(case: str) -> None:
    status, state, served = CASES[case]
    plan = decide(status)
    assert plan.status
    assert [(one["name"], one["state"]) for one in plan.status["deployments"]] == [("prod", state)]
    assert plan.status.get("servedBy", []) == (["prod"] if served else [])
    assert plan.status["state"] == f"prod={state}"


def test_a_version_that_was_replaced_says_by_which() -> None:
    plan = decide(CASES["replaced"][0])
    assert plan.status
    words = plan.status["deployments"][0]["message"]
    assert words == "it served until 2026-01-01T00:00:00Z; version 4 took its place"
    assert plan.status["message"] == words


@pytest.mark.parametrize("case", ["other model", "not looked at"])
def test_a_version_that_nobody_looked_at_is_not_written(case: str) -> None:
    plan = decide(
        {"promotions": [PROMOTED]} if case == "other model" else {}, model="other" if case == "other model" else "churn"
    )
    assert plan.status is None


def test_when_nobody_serves_it_any_more_that_is_written() -> None:
    known = {**VERSION, "status": {"servedBy": ["prod"], "deployments": []}}
    plan = decide({}, version=known)
    assert plan.status
    assert plan.status == {"observedGeneration": 1}


@pytest.mark.parametrize("case", ["rolling out", "waiting", "below the gate", "failed here"])
def test_why_a_version_never_served_stays_when_the_deployment_goes_on(case: str) -> None:
    first = decide(CASES[case][0])
    assert first.status
    later = {**PROMOTED, "version": 4, "revision": "r4"}
    plan = decide({"promotions": [later], "stableRevision": "r4"}, version={**VERSION, "status": first.status})
    assert plan.status
    known, (verdict,) = first.status["deployments"][0], plan.status["deployments"]
    assert "servedBy" not in plan.status
    if known["state"] in ("Rejected", "Vetoed"):
        assert verdict == known
    else:
        assert (verdict["state"], verdict["reason"]) == ("Superseded", "Superseded")


def test_a_version_that_is_gone_is_nothing_to_decide() -> None:
    assert CONTROLLER.gather(World(), "team", "churn-3") is None
    assert CONTROLLER.resource == MODELVERSIONS


def test_of_very_many_deployments_those_that_serve_are_named_before_others() -> None:
    waiting = {"candidates": [{"version": 3, "state": "Waiting", "reason": "Approval", "message": "m"}]}
    serving = {"promotions": [PROMOTED], "stableRevision": "r3"}
    deployments = [
        {
            "apiVersion": "perennial.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": f"d-{number:03}", "namespace": "team"},
            "spec": {"model": {"name": "churn"}},
            "status": waiting if number < 300 else serving,
        }
        for number in range(400)
    ]
    snapshot = CONTROLLER.gather(World(VERSION, *deployments), "team", "churn-3")
    status = CONTROLLER.decide(snapshot, datetime(2026, 1, 1, tzinfo=UTC), Config()).status
    assert status
    assert status["servedBy"] == [f"d-{number:03}" for number in range(300, 400)]
    names = [one["name"] for one in status["deployments"]]
    assert len(names) == 256
    assert names == sorted(names)
    assert set(names) > set(status["servedBy"])
