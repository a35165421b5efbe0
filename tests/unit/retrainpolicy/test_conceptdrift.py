"""Triggers of concept drift: what a Job is handed, and what follows from what it says."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.detect import Change, Detected
from perennial.api.task import Failure
from perennial.plan import Body
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy, promote
from tests.unit.retrainpolicy.test_errands import job, row, saw


def concept(**fields: Any) -> Body:
    return {"name": "worse", "conceptDrift": {"metric": "accuracy", "every": "1h", **fields}}


def a_team(trigger: Body, samples: int = 500, **spec: Any) -> Team:
    """The first look is under way."""
    return Team(a_policy(trigger, **spec)).report(0.9, count=samples).settle()


def changed(before: float, after: float, changes: int = 1, ago: timedelta = timedelta(minutes=20)) -> str:
    """What the agent leaves."""
    last = Change(start=int((NOW - ago).timestamp()), before=before, after=after)
    return Detected(samples=500, changes=changes, last=last).to_json()


SAME, FELL, ROSE = Detected(samples=500, changes=0).to_json(), changed(0.93, 0.81), changed(0.81, 0.93, 2)


class TestJob:
    def test_it_is_handed_what_was_reported_of_the_served_revision(self) -> None:
        team = Team(a_policy(concept(minSamples=30)))
        team.report(0.5, count=500, revision="churn-r0")
        team.report(0.5, count=500, at=NOW - timedelta(days=29))
        assert not team.settle().sent
        assert row(team)["samples"] == 0
        for value in (0.9, 0.7, 0.8):
            team.after(minutes=1).report(value, count=20)
        team.settle()
        (container,) = job(team)["spec"]["template"]["spec"]["containers"]
        assert (container["image"], container["args"]) == ("perennial/drift:0.1.0", ["detect"])
        assert "envFrom" not in container, "it reads no store"
        task = json.loads(container["env"][0]["value"])
        begin = int(NOW.timestamp()) // 60 * 60
        assert [(one["start"] - begin, one["count"], one["mean"]) for one in task.pop("spans")] == [
            (60, 20, 0.9),
            (120, 20, 0.7),
            (180, 20, 0.8),
        ]
        assert task == {"detector": "ADWIN", "significance": 0.002, "threshold": 50, "tolerance": 0.1}

    @pytest.mark.parametrize(
        ("fields", "task"),
        [
            ({"significance": 0.05}, {"detector": "ADWIN", "significance": 0.05}),
            ({"detector": "PageHinkley", "tolerance": 0}, {"threshold": 50, "tolerance": 0}),
            ({"detector": "PageHinkley", "threshold": 9}, {"threshold": 9, "tolerance": 0.1}),
        ],
    )
    def test_the_detectors_numbers(self, fields: Body, task: Body) -> None:
        (container,) = job(a_team(concept(**fields)))["spec"]["template"]["spec"]["containers"]
        assert task.items() <= json.loads(container["env"][0]["value"]).items()

    def test_it_waits_for_enough_samples(self) -> None:
        team = a_team(concept(), samples=199)
        assert not team.sent
        assert (row(team)["state"], row(team)["message"]) == ("Waiting", "199 of at least 200 samples of churn-r1")
        assert len(team.report(0.9).settle().sent) == 1

    def test_what_is_reported_while_it_is_made_makes_no_second_one(self) -> None:
        team = a_team(concept())
        team.after(seconds=30).report(0.4, count=500).settle()
        assert len(team.sent) == 1


class TestWhatFollows:
    @pytest.mark.parametrize(
        ("fields", "looks", "state", "words"),
        [
            ({}, [SAME], "Ok", "accuracy has not changed since the promotion (ADWIN, significance 0.002; 500 samples)"),
            ({}, [FELL], "Firing", "accuracy fell from 0.93 to 0.81 at"),
            ({}, [ROSE], "Firing", "accuracy rose from 0.81 to 0.93 at"),
            ({"direction": "Down"}, [FELL], "Firing", "accuracy fell"),
            ({"direction": "Down"}, [ROSE], "Ok", ": no cause (direction Down)"),
            ({"direction": "Up"}, [FELL], "Ok", ": no cause (direction Up)"),
            ({"direction": "Up"}, [ROSE], "Firing", "accuracy rose"),
            ({"direction": "Down"}, [SAME, FELL], "Firing", "accuracy fell"),
        ],
    )
    def test_the_last_change_in_this_direction_starts_a_run(
        self, fields: Body, looks: list[str], state: str, words: str
    ) -> None:
        team = saw(a_team(concept(**fields)), *looks)
        assert row(team)["state"] == state
        assert words in row(team)["message"]
        assert len(team.runs) == (state == "Firing")

    def test_the_cause(self) -> None:
        team = saw(a_team(concept(direction="Down")), FELL)
        cause = team.status["runs"][0]["cause"]
        assert (cause["type"], cause["metric"], cause["value"], cause["limit"]) == (
            "ConceptDrift",
            "accuracy",
            0.81,
            0.93,
        )
        assert (cause["samples"], cause["revision"]) == (500, "churn-r1")
        assert cause["conceptDrift"]["changeTime"] == format_time(NOW - timedelta(minutes=20))
        assert row(team)["conceptDrift"] == cause["conceptDrift"]

    def test_what_changed_back_is_done_with(self) -> None:
        team = saw(a_team(concept(direction="Down"), dryRun=True), FELL, ROSE)
        assert "crossedSince" not in row(team)
        assert len(saw(team, FELL).runs) == 2

    def test_a_new_revision_begins_anew(self) -> None:
        team = saw(a_team(concept(direction="Down"), dryRun=True), FELL)
        promote(team.deployment, 2, team.now)
        team.settle()
        assert (row(team)["state"], "conceptDrift" in row(team)) == ("Waiting", False)
        team.after(minutes=1).report(0.9, count=300).settle()
        assert len(team.sent) == 2, "it is looked at, at once"
        assert len(saw(team, SAME).runs) == 1

    def test_what_an_earlier_one_showed_is_not_taken_for_its_own(self) -> None:
        team = saw(a_team(concept(direction="Down"), dryRun=True), FELL)
        # The operator was away meanwhile.
        promote(team.deployment, 2, team.now)
        team.after(minutes=1).report(0.9, count=300).settle()
        assert (row(team)["state"], "conceptDrift" in row(team)) == ("Waiting", False)
        assert len(team.sent) == 2

    def test_what_cannot_be_looked_at_is_no_change(self) -> None:
        team = saw(a_team(concept()), SAME)
        team.after(hours=1, minutes=1).settle()
        team.looked(Failure(reason="AgentFailed", message="no such library").to_json(), 1).settle()
        assert (row(team)["state"], row(team)["message"]) == ("Unavailable", "cannot be looked at: no such library")
        assert saw(team, FELL).runs

    @given(st.lists(st.sampled_from([SAME, FELL, ROSE]), min_size=1, max_size=7))
    def test_one_run_for_each_time_that_it_falls(self, looks: list[str]) -> None:
        team = saw(a_team(concept(direction="Down"), dryRun=True), *looks)
        falls = sum(one == FELL and (not at or looks[at - 1] != FELL) for at, one in enumerate(looks))
        assert len(team.runs) == falls

    def test_a_crash_between_answer_and_status_loses_nothing(self) -> None:
        team = a_team(concept())
        team.looked(FELL).decide(status_lost=True)
        assert team.settle().runs == [(1, "Training")]
        assert len(team.sent) == 1
