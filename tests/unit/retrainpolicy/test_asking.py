"""A metric trigger that goes by what the pods of the served revision count."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.api.meta import LABEL_MODELDEPLOYMENT, LABEL_REVISION
from perennial.api.retrainpolicy import TriggerState
from perennial.api.trigger import MetricTrigger
from perennial.plan import Body, Plan
from perennial.questions import Answer, Counter, Sampled, Scrape
from perennial.retrainpolicy.metric import describe
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy, promote

PODS: Body = {
    "numerator": {"metric": "requests_total", "labels": {"code": "5*"}},
    "denominator": {"metric": "requests_total"},
}
HOUR = timedelta(hours=1)


def a_metric(**metric: Any) -> Body:
    return {"name": "errors", "source": {"pods": PODS}, "above": 0.05, **metric}


def a_pod(name: str, revision: str = "churn-r1", *, ready: bool = True, deployment: str = "churn", **spec: Any) -> Body:
    labels = {LABEL_MODELDEPLOYMENT: deployment, LABEL_REVISION: revision}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": format_time(NOW)}
    container = {"name": "server", "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "labels": labels},
        "spec": {"containers": [container], **spec},
        "status": {"conditions": [condition], "podIP": f"10.0.0.{len(name)}"},
    }


def a_team(*pods: Body, **metric: Any) -> Team:
    team = Team(a_policy({"name": "errors", "metric": a_metric(**metric)}))
    team.world.add(*(pods or (a_pod("a"),)))
    return team


def asked(team: Team) -> Scrape:
    (question,) = team.decide().questions
    assert isinstance(question, Scrape)
    return question


def answered(team: Team, value: float | None, count: int = 0, error: str = "", since: datetime | None = None) -> Plan:
    """One look at the questions of now, and one at the answers; they know all of the window, where nothing is said."""
    question = asked(team)
    sampled = None if value is None else Sampled(count, value, 0.0, 1.0)
    team.world.answered = {question: Answer(sampled, error, since or question.at - HOUR)}
    return team.after(milliseconds=5).decide()


def row(plan: Plan) -> Body:
    assert plan.status
    return dict(plan.status["triggers"][0])


def test_the_ready_pods_of_the_served_revision_are_asked() -> None:
    gone = a_pod("gone")
    gone["metadata"]["deletionTimestamp"] = format_time(NOW)
    others = (
        gone,
        a_pod("canary", "churn-r2"),
        a_pod("starts", ready=False),
        a_pod("another", deployment="fraud"),
    )
    question = asked(a_team(a_pod("bb"), a_pod("a"), *others))
    assert question.pages == (("uid-a", "http://10.0.0.1:8080/metrics"), ("uid-bb", "http://10.0.0.2:8080/metrics"))
    assert (question.numerator, question.window) == (Counter("requests_total", (("code", "5*"),)), HOUR)
    assert question.since == NOW - timedelta(hours=6), "since it serves"


def test_each_turn_is_a_question_and_a_promotion_begins_anew() -> None:
    team = a_team(a_pod("a"), a_pod("new", "churn-r2"))
    first = asked(team)
    assert asked(team) == first
    later = asked(team.after(seconds=30))
    assert later.at == first.at + timedelta(seconds=30)
    promote(team.deployment, 2, team.now)
    after = asked(team)
    assert after.pages == (("uid-new", "http://10.0.0.3:8080/metrics"),)
    assert (after.of, after.since) != (later.of, later.since)


def test_a_value_beyond_the_limit_starts_a_run_and_one_within_none() -> None:
    good = answered(a_team(), 0.01, 4000)
    assert row(good)["state"] == TriggerState.OK
    assert row(good)["message"] == "errors is 0.01 (4000 samples by pods in 1h), not above 0.05"
    bad = answered(a_team(minSamples=200), 0.2, 200)
    words = "errors is 0.2 (200 samples by pods in 1h), above 0.05"
    assert row(bad)["message"] == f"{words}; run 1 deals with it"
    assert bad.status
    cause = bad.status["runs"][0]["cause"]
    assert (cause["message"], cause["value"], cause["samples"], cause["window"]) == (words, 0.2, 200, "1h")


def test_the_first_look_knows_nothing_and_says_so() -> None:
    team = a_team()
    at = asked(team).at
    first = answered(team, None, since=at)
    assert row(first)["state"] == TriggerState.WAITING
    since = format_time(at)
    assert row(first)["message"] == f"0 of at least 1 samples of churn-r1 since {since}, the first look"
    team.after(seconds=30)
    assert row(answered(team, 0.01, 40, since=at))["message"] == (
        f"errors is 0.01 (40 samples by pods since {since}), not above 0.05"
    )


def test_a_whole_window_is_one_that_begins_with_the_promotion_too() -> None:
    team = a_team(a_pod("new", "churn-r2"))
    promote(team.deployment, 2, NOW)
    began = asked(team.after(seconds=30)).at
    team.after(seconds=60)
    assert row(answered(team, 0.01, 40, since=began))["message"].startswith("errors is 0.01 (40 samples by pods in 1h)")


def test_who_cannot_be_read_starts_nothing_and_is_told_of() -> None:
    plan = answered(a_team(), None, error="http://10.0.0.1:8080/metrics answered 500")
    assert plan.status
    assert row(plan)["state"] == TriggerState.UNAVAILABLE
    conditions = {one["type"]: one for one in plan.status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("False", "SourceUnavailable")
    assert "pods cannot be asked: http://10.0.0.1:8080/metrics answered 500" in conditions["Ready"]["message"]
    assert plan.status.get("runs", []) == []


@pytest.mark.parametrize(
    ("pod", "state", "words"),
    [
        (a_pod("a", ready=False), TriggerState.WAITING, "waits until a pod of churn-r1 is ready, to be asked"),
        (
            a_pod("a", hostNetwork=True),
            TriggerState.UNAVAILABLE,
            "pods cannot be asked: pods with hostNetwork are not asked for metrics: use `prometheus` or `reported`",
        ),
        (
            a_pod("a", containers=[{"name": "server"}]),
            TriggerState.UNAVAILABLE,
            "pods cannot be asked: its pods have no port named 'http'",
        ),
    ],
)
def test_pods_that_are_not_to_be_asked_are_told_of_and_looked_at_again(
    pod: Body, state: TriggerState, words: str
) -> None:
    plan = a_team(pod).decide()
    assert (row(plan)["state"], row(plan)["message"]) == (state, words)
    assert not plan.questions
    assert plan.requeue_after is not None
    assert plan.requeue_after <= 30


def test_a_baseline_is_what_a_whole_window_showed_from_when_pods_were_first_read() -> None:
    team = a_team(relativeTo={"baseline": "Promotion"}, above=0.05)
    began = asked(team).at
    team.after(minutes=10)
    few = row(answered(team, 0.2, 40, since=began))
    assert few["state"] == TriggerState.WAITING
    assert few["message"] == f"gathers its baseline until {format_time(began + HOUR)}"
    team.after(hours=1)
    whole = row(answered(team, 0.02, 4000, since=began))
    assert (whole["state"], whole["baseline"]) == (TriggerState.OK, 0.02)


def test_another_window_is_another_rule() -> None:
    rules = [describe(MetricTrigger.model_validate(a_metric(window=window))) for window in ("1h", "5m")]
    assert rules == ["errors by pods over 1h above 0.05", "errors by pods over 5m above 0.05"]


@pytest.mark.parametrize("window", ["1m", "24h"])
def test_such_windows_are_remembered(window: str) -> None:
    assert MetricTrigger.model_validate(a_metric(window=window)).window == window


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"window": "59s"}, "window: .* must be 1m to 24h"),
        ({"window": "25h"}, "window: .* must be 1m to 24h"),
        ({"labelDelay": "1h"}, "labelDelay: pods count what has come already"),
        ({"aggregate": "Max"}, "pods gives one value, of now"),
        ({"breaches": {"atLeast": 1, "of": 2}}, "pods gives one value, of now"),
    ],
)
def test_what_makes_no_sense_is_refused(more: Body, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MetricTrigger.model_validate(a_metric(**more))
