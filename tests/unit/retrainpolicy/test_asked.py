"""Metric triggers whose source is asked: a Prometheus server or a webhook."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.retrainpolicy import TriggerState
from perennial.api.trigger import MetricTrigger
from perennial.plan import Body, Plan
from perennial.questions import Answer, Call, Query, Runs, Sampled
from perennial.retrainpolicy.look import turn
from perennial.retrainpolicy.metric import EVERY
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy, promote

QUERY = 'avg(accuracy{revision="$revision"}[$interval])'
SOURCES: dict[str, Body] = {
    "prometheus": {"query": QUERY},
    "mlflow": {"experiment": "held out"},
    "webhook": {"name": "truth"},
}


def a_trigger(option: str = "prometheus", **metric: Any) -> Body:
    source = {option: SOURCES[option]}
    return {
        "name": "accuracy",
        "metric": {"name": "accuracy", "source": source, "below": 0.9, "window": "1h", **metric},
    }


def a_team(option: str = "prometheus", **metric: Any) -> Team:
    return Team(a_policy(a_trigger(option, **metric)))


def answered(team: Team, value: float | None, count: int = 1, error: str = "") -> Plan:
    """One look at the questions of now, and one at the answers."""
    plan = team.decide()
    sampled = None if value is None else Sampled(count, value, value, value)
    team.world.answered = {question: Answer(sampled, error) for question in plan.questions}
    return team.after(milliseconds=5).decide()


def row(plan: Plan) -> Body:
    assert plan.status
    return dict(plan.status["triggers"][0])


def test_it_is_asked_of_the_served_revision() -> None:
    (question,) = a_team().decide().questions
    assert isinstance(question, Query)
    assert question.query == 'avg(accuracy{revision="churn-r1"}[3600s])'
    (call,) = a_team("webhook").decide().questions
    assert isinstance(call, Call)
    assert (call.webhook, call.namespace, call.deployment, call.revision, call.metric) == (
        "truth", "team", "churn", "churn-r1", "accuracy",
    )  # fmt: skip
    assert call.since == NOW - timedelta(hours=6), "since it serves"
    (runs,) = a_team("mlflow").decide().questions
    assert isinstance(runs, Runs)
    assert (runs.experiment, runs.metric, runs.server) == ("held out", "accuracy", "default")
    assert runs.filter == "tags.`perennial.dev/revision` = 'churn-r1'"
    assert runs.at - runs.since == timedelta(hours=1), "in the window"


@pytest.mark.parametrize("option", SOURCES)
def test_a_value_beyond_the_limit_starts_a_run_and_one_within_none(option: str) -> None:
    good = answered(a_team(option), 0.95, 40)
    assert row(good)["state"] == TriggerState.OK
    assert row(good)["message"] == f"accuracy is 0.95 (40 samples by {option}), not below 0.9"
    team = a_team(option)
    bad = answered(team, 0.85)
    assert row(bad)["message"] == f"accuracy is 0.85 (1 sample by {option}), below 0.9; run 1 deals with it"
    assert bad.status
    assert bad.status["runs"][0]["cause"]["value"] == 0.85
    for _ in range(3):
        again = answered(team, 0.8)
        assert again.status
        assert len(again.status["runs"]) == 1


def test_until_there_is_an_answer_what_was_seen_stands() -> None:
    team = a_team()
    before = row(answered(team, 0.95))
    team.after(seconds=30)
    plan = team.decide()
    assert row(plan) == before
    assert plan.questions != ()
    assert row(answered(team, 0.97))["value"] == 0.97


def test_who_cannot_be_asked_starts_nothing_and_is_told_of() -> None:
    team = a_team()
    plan = answered(team, None, error="Cannot connect to host prometheus:9090")
    assert plan.status
    assert row(plan)["state"] == TriggerState.UNAVAILABLE
    conditions = {one["type"]: one for one in plan.status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("False", "SourceUnavailable")
    assert "prometheus cannot be asked: Cannot connect to host prometheus:9090" in conditions["Ready"]["message"]
    assert "Stalled" not in conditions
    assert plan.status.get("runs", []) == []
    team.after(seconds=30)
    plan = answered(team, 0.95)
    assert plan.status
    assert {one["type"]: one["status"] for one in plan.status["conditions"]} == {"Ready": "True"}


def test_no_value_or_of_too_few_samples_decides_nothing() -> None:
    assert row(answered(a_team(), None))["state"] == TriggerState.WAITING
    few = answered(a_team(minSamples=30), 0.5, 29)
    assert row(few)["message"] == "29 of at least 30 samples of churn-r1 in 1h"
    assert few.status
    assert few.status.get("runs", []) == []


def test_for_so_long_without_a_break() -> None:
    team = a_team(**{"for": "1m"})
    assert row(answered(team, 0.85))["state"] == TriggerState.CROSSED
    team.after(seconds=31)
    assert row(answered(team, None, error="away"))["state"] == TriggerState.UNAVAILABLE
    team.after(seconds=31)
    assert row(answered(team, 0.85))["state"] == TriggerState.CROSSED, "nobody knows how it was meanwhile"
    team.after(seconds=61)
    assert row(answered(team, 0.85))["state"] == TriggerState.FIRING


@given(st.integers(0, 10**6), st.text("abc", min_size=1))
def test_within_a_turn_the_question_is_the_same_and_each_has_its_own(micros: int, name: str) -> None:
    now = NOW + timedelta(microseconds=micros)
    begin = turn(name, now, EVERY)
    assert begin <= now < begin + EVERY
    assert turn(name, begin, EVERY) == begin
    assert turn(name, begin + EVERY - timedelta(microseconds=1), EVERY) == begin
    assert turn(name, begin + EVERY, EVERY) == begin + EVERY


def test_a_new_model_is_asked_of_what_it_did() -> None:
    team = a_team()
    promote(team.deployment, 2, NOW - timedelta(seconds=5))
    (question,) = team.decide().questions
    assert isinstance(question, Query)
    assert "churn-r2" in question.query
    assert int(question.query.rpartition("[")[2].removesuffix("s])")) <= 5


@pytest.mark.parametrize("more", [{"aggregate": "Max"}, {"breaches": {"atLeast": 1, "of": 2}}])
def test_what_looks_back_does_not_go_with_it(more: Body) -> None:
    with pytest.raises(ValueError, match="gives one value, of now"):
        MetricTrigger.model_validate(a_trigger(**more)["metric"])
