"""Limits that are relative to something, and truth that comes late."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_REBASELINE
from perennial.api.resources import METRICSERIES
from perennial.plan import Body
from perennial.retrainpolicy import baseline
from perennial.retrainpolicy.crossing import crossed
from tests.unit.retrainpolicy.builders import NOW, Team, a_deployment, a_policy, a_trigger, a_version, promote
from tests.unit.retrainpolicy.test_asked import a_trigger as asked_trigger
from tests.unit.retrainpolicy.test_asked import answered, row

RECORDED, FIRST = {"baseline": "Recorded"}, {"baseline": "Promotion"}


def a_team(deployment: Body | None = None, recorded: Body | None = None, **metric: Any) -> Team:
    """Its version has metrics on record."""
    trigger = {"name": "accuracy", "metric": {"name": "accuracy", "window": "1h", **metric}}
    team = Team(a_policy(trigger), deployment)
    version = a_version(1, 0, "by-hand")
    del version["spec"]["retrain"]
    version["spec"]["metrics"] = {"accuracy": 0.9} if recorded is None else recorded
    team.world.add(version)
    return team


class TestRecorded:
    @pytest.mark.parametrize(
        ("metric", "value", "runs", "words"),
        [
            ({"below": -0.05}, 0.86, 0, "not below 0.85 (0.9 on record)"),
            ({"below": -0.05}, 0.84, 1, "below 0.85 (0.9 on record)"),
            ({"below": 0.9, "by": "Ratio"}, 0.82, 0, "not below 0.81"),
            ({"below": 0.9, "by": "Ratio"}, 0.80, 1, "below 0.81"),
            ({"above": 0.05}, 0.96, 1, "above 0.95"),
            ({"outside": {"below": -0.1, "above": 0.1}}, 0.79, 1, "outside of 0.8 to 1"),
            ({"outside": {"below": -0.1, "above": 0.1}}, 0.81, 0, "not outside of 0.8 to 1"),
        ],
    )
    def test_limits_are_measured_from_it(self, metric: Body, value: float, runs: int, words: str) -> None:
        relative = RECORDED | ({"by": metric.pop("by")} if "by" in metric else {})
        team = a_team(relativeTo=relative, **metric).report(value).settle()
        assert len(team.runs) == runs
        assert words in team.trigger("accuracy")["message"]
        assert team.trigger("accuracy")["baseline"] == 0.9
        if runs:
            cause = team.status["runs"][0]["cause"]
            assert cause["value"] == value
            assert str(round(cause["limit"], 6)) in words, "the limit as a number that the value can be held against"

    def test_it_may_have_another_name(self) -> None:
        relative = RECORDED | {"metric": "holdout_accuracy"}
        team = a_team(recorded={"holdout_accuracy": 0.95}, relativeTo=relative, below=-0.05).report(0.89).settle()
        assert len(team.runs) == 1

    @pytest.mark.parametrize(
        ("recorded", "relative", "words"),
        [
            ({}, RECORDED, "ModelVersion churn-1 has no metric accuracy on record"),
            ({"accuracy": 0.0}, RECORDED | {"by": "Ratio"}, "there is no ratio: give relativeTo.by Difference"),
            ({"accuracy": -2.0}, RECORDED | {"by": "Ratio"}, "there is no ratio: give relativeTo.by Difference"),
        ],
    )
    def test_without_one_nothing_is_decided(self, recorded: Body, relative: Body, words: str) -> None:
        team = a_team(recorded=recorded, relativeTo=relative, below=-0.05).report(0.1).settle()
        assert team.runs == []
        assert team.trigger("accuracy")["state"] == "Waiting"
        assert words in team.trigger("accuracy")["message"]
        assert words in team.message

    def test_the_next_version_has_its_own(self) -> None:
        team = a_team(relativeTo=RECORDED, below=-0.05).report(0.87).settle()
        assert team.runs == []
        version = a_version(2, 0, "by-hand")
        version["spec"]["metrics"] = {"accuracy": 0.99}
        team.world.add(version)
        team.after(minutes=1)
        promote(team.deployment, 2, team.now)
        assert team.report(0.87).settle().runs == [(1, "Training")]

    def test_it_recovers_relative_to_it_too(self) -> None:
        team = a_team(relativeTo=RECORDED, below=-0.05, recoverAbove=-0.02, **{"for": "10m"}).report(0.84).settle()
        since = team.trigger("accuracy")["crossedSince"]
        team.world.remove(team.world.get(METRICSERIES, "team", "churn") or {})
        assert team.after(minutes=5).report(0.87).settle().trigger("accuracy")["crossedSince"] == since
        team.world.remove(team.world.get(METRICSERIES, "team", "churn") or {})
        assert "crossedSince" not in team.after(minutes=1).report(0.885).settle().trigger("accuracy")


class TestFirstShown:
    def test_it_is_gathered_over_a_whole_window_and_kept(self) -> None:
        team = a_team(a_deployment(promoted=NOW), relativeTo=FIRST, below=0.9 / 1.0, window="1h")
        team.edit(triggers=[{"name": "accuracy", "metric": _first(by="Ratio", below=0.9)}])
        team.after(minutes=1).report(0.8).settle()
        assert team.trigger("accuracy")["state"] == "Waiting"
        assert f"gathers its baseline until {format_time(NOW + timedelta(hours=1))}" in team.message
        team.after(minutes=58).report(0.8, count=9).settle()
        assert "baseline" not in team.trigger("accuracy")
        team.after(minutes=1).settle()
        assert team.trigger("accuracy")["baseline"] == 0.8
        assert team.trigger("accuracy")["state"] == "Ok"
        # Without samples for a while it is still known.
        team.after(hours=5).settle()
        assert (team.trigger("accuracy")["state"], team.trigger("accuracy")["baseline"]) == ("Waiting", 0.8)
        assert team.report(0.73).settle().runs == []
        team.after(hours=2).report(0.7).settle()
        assert team.runs == [(1, "Training")]
        assert "below 0.72 (0.8 at first)" in team.status["runs"][0]["cause"]["message"]

    def test_the_next_revision_shows_its_own(self) -> None:
        team = a_team(relativeTo=FIRST, below=-0.1).report(0.8).settle()
        assert team.trigger("accuracy")["baseline"] == 0.8
        team.after(minutes=5)
        promote(team.deployment, 2, team.now)
        team.after(minutes=1).report(0.5).settle()
        assert "baseline" not in team.trigger("accuracy")
        assert team.trigger("accuracy")["state"] == "Waiting"
        assert team.after(minutes=59).settle().trigger("accuracy")["baseline"] == 0.5

    def test_another_rule_begins_anew(self) -> None:
        team = a_team(relativeTo=FIRST, below=-0.1).report(0.8).settle()
        team.edit(triggers=[{"name": "accuracy", "metric": _first(below=-0.1, minSamples=5)}]).settle()
        assert "baseline" not in team.trigger("accuracy")

    def test_a_person_has_it_begin_anew_once(self) -> None:
        team = a_team(relativeTo=FIRST, below=-0.1).report(0.8).settle()
        team.after(minutes=30).report(0.6, count=99).settle()
        assert team.runs == [(1, "Training")]
        team = a_team(relativeTo=FIRST, below=-0.1).report(0.8).settle()
        team.policy["metadata"]["annotations"][ANNOTATION_REBASELINE] = "the plan was changed"
        asked = team.after(minutes=30).report(0.6, count=99).now
        team.settle()
        assert team.told.count("Rebaselined") == 1
        assert "baseline" not in team.trigger("accuracy")
        assert f"gathers its baseline until {format_time(asked + timedelta(hours=1))}" in team.message
        team.after(minutes=61).report(0.62, count=99).settle()
        assert team.trigger("accuracy")["baseline"] == 0.62
        assert not team.runs
        team.after(hours=2).report(0.51).settle()
        assert "below 0.52 (0.62 at first)" in team.status["runs"][0]["cause"]["message"]

    def test_a_crash_before_it_is_written_down_asks_again(self) -> None:
        team = a_team(relativeTo=FIRST, below=-0.1).report(0.8).settle()
        team.policy["metadata"]["annotations"][ANNOTATION_REBASELINE] = "1"
        team.decide(status_lost=True)
        assert "rebaselineTime" not in team.status
        team.settle()
        assert team.status["rebaselineTime"] == format_time(team.now)

    def test_what_is_on_record_stays(self) -> None:
        team = a_team(relativeTo=RECORDED, below=-0.05).report(0.87).settle()
        team.policy["metadata"]["annotations"][ANNOTATION_REBASELINE] = "1"
        assert team.settle().trigger("accuracy")["baseline"] == 0.9

    def test_of_a_source_that_is_asked(self) -> None:
        team = Team(a_policy(asked_trigger(relativeTo=FIRST, below=-0.1)))
        assert row(answered(team, 0.8))["baseline"] == 0.8
        team.after(seconds=40)
        assert row(answered(team, None, error="down"))["baseline"] == 0.8
        team.after(seconds=40)
        assert row(answered(team, 0.69))["state"] == "Firing"


def _first(**metric: Any) -> Body:
    relative = {"relativeTo": FIRST | ({"by": metric.pop("by")} if "by" in metric else {})}
    return {"name": "accuracy", "window": "1h"} | relative | metric


@given(
    st.floats(0.01, 100), st.floats(-10, 10), st.floats(-100, 100), st.sampled_from(["below", "above"]), st.booleans()
)
def test_it_is_crossed_as_the_difference_or_the_ratio_would_be(
    base: float, limit: float, value: float, side: str, ratio: bool
) -> None:
    trigger = a_trigger(
        **{"below": None, side: limit, "relativeTo": {"baseline": "Recorded", "by": "Ratio" if ratio else "Difference"}}
    )
    assert trigger.metric
    assert trigger.metric.relative_to
    bounds = baseline.absolute(trigger.metric, trigger.metric.relative_to, base)
    edge = base * limit if ratio else base + limit
    assert crossed(bounds, value) == (value < edge if side == "below" else value > edge)


class TestLabelDelay:
    def test_what_was_reported_of_the_last_time_does_not_count(self) -> None:
        trigger = {
            "name": "accuracy",
            "metric": {"name": "accuracy", "below": 0.9, "window": "1h", "labelDelay": "30m", "minSamples": 2},
        }
        team = Team(a_policy(trigger))
        team.report(0.1, count=50, at=NOW - timedelta(minutes=20)).settle()
        assert team.trigger("accuracy")["message"] == "0 of at least 2 samples of churn-r1 in 1h until 30m ago"
        team.report(0.95, count=50, at=NOW - timedelta(minutes=45)).settle()
        assert team.trigger("accuracy")["state"] == "Ok"
        assert team.trigger("accuracy")["value"] == 0.95
        # By now its truth must be there.
        assert team.after(minutes=12).settle().runs == [(1, "Training")]

    def test_the_window_ends_where_it_should_and_is_as_long(self) -> None:
        trigger = {
            "name": "n",
            "metric": {"name": "accuracy", "above": 1e9, "window": "10m", "labelDelay": "20m", "aggregate": "Count"},
        }
        team = Team(a_policy(trigger))
        for ago in range(60):
            team.report(1.0, at=NOW - timedelta(minutes=ago, seconds=30))
        assert team.settle().trigger("n")["samples"] in (10, 11)

    def test_a_source_that_is_asked_is_asked_once_the_truth_can_be_there(self) -> None:
        trigger = asked_trigger(labelDelay="1h")
        team = Team(a_policy(trigger), a_deployment(promoted=NOW))
        plan = team.after(minutes=59).decide()
        assert plan.questions == []
        assert "for the truth of what it predicts (metric.labelDelay)" in row(plan)["message"]
        assert plan.requeue_after is not None
        (question,) = team.after(minutes=2).decide().questions
        assert "[60s]" in question.query or "[" in question.query
        (later,) = team.after(hours=2).decide().questions
        assert "[3600s]" in later.query
