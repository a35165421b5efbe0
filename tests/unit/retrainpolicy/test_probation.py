"""Versions on probation: one that relapses is rolled back instead of trained again, and one that lasts is a success."""

from datetime import timedelta

import pytest

from perennial.api.base import format_time
from perennial.api.resources import METRICSERIES
from perennial.config import Config
from perennial.plan import Body
from tests.unit.retrainpolicy.builders import ACCURACY, HOURLY, Team, a_policy, promote
from tests.unit.retrainpolicy.test_fleet import STORM, in_trouble
from tests.world import conditions

WATCH: Body = {"period": "24h"}


def promoted(*triggers: Body, **spec: object) -> Team:
    """The first run's version serves, since a minute."""
    team = Team(a_policy(*(triggers or (ACCURACY,)), **{"watch": WATCH} | spec)).report(0.7).settle()
    if not team.runs:
        team.request("first").settle()
    team.succeeds().settle()
    team.after(minutes=5).promotes().settle()
    assert team.runs == [(1, "Promoted")]
    return team.after(minutes=1)


def comes_back(team: Team) -> None:
    """The deployment serves version 1 again."""
    promote(team.deployment, 1, team.now)


def reports(team: Team, value: float) -> Team:
    """Nothing but this, of what serves."""
    if before := team.world.get(METRICSERIES, "team", "churn"):
        team.world.remove(before)
    return team.report(value)


def test_a_relapse_ends_the_run_as_rolled_back_and_starts_no_other() -> None:
    team = promoted()
    assert team.status["runs"][0]["watchedUntil"] == format_time(team.now - timedelta(minutes=1) + timedelta(hours=24))
    team.after(hours=20)
    reports(team, 0.6).settle()
    assert team.runs == [(1, "RolledBack")]
    (run,) = team.status["runs"]
    assert "watchedUntil" not in run
    assert run["relapseTime"] == run["completionTime"] == format_time(team.now)
    assert run["message"].startswith("churn-2 relapsed: accuracy is 0.6 (")
    assert "RunRolledBack" in team.told
    assert team.status["unpromoted"] == 1
    assert team.trigger("accuracy")["state"] == "Held"
    assert "churn-2 of run 1 relapsed, and is rolled back (spec.watch)" in team.message
    assert conditions(team.status)["Ready"] == ("True", "Held")


def test_the_one_that_comes_back_is_trained_again_if_it_is_bad_too() -> None:
    team = promoted(cooldown="1h")
    reports(team, 0.6).settle()
    comes_back(team.after(minutes=1))
    reports(team, 0.65).settle()
    assert team.runs == [(1, "RolledBack")]
    assert team.skipped[0] == ("accuracy", "Cooldown")
    assert reports(team.after(hours=1), 0.65).settle().runs[0] == (2, "Training")


def test_it_cannot_go_back_and_forth_for_ever() -> None:
    """Each run looked like a success when it was promoted, and none was."""
    team = Team(a_policy(ACCURACY, watch=WATCH, unpromotedLimit=3))
    for run in (1, 2, 3):
        reports(team.after(hours=2), 0.7).settle()
        assert team.runs[0] == (run, "Training")
        team.succeeds().settle()
        team.after(minutes=1).promotes().settle()
        reports(team.after(minutes=1), 0.6).settle()
        comes_back(team.after(minutes=1))
    reports(team.after(hours=2), 0.7).settle()
    assert len(team.runs) == 3
    assert conditions(team.status)["Stalled"] == ("True", "UnpromotedLimit")


def test_one_that_lasts_is_a_success_then() -> None:
    team = Team(a_policy(ACCURACY, watch=WATCH)).report(0.7).settle().fails().settle()
    reports(team.after(minutes=1), 0.7).settle().succeeds().settle()
    team.after(minutes=1).promotes().settle()
    assert (team.runs[0], team.status["unpromoted"]) == ((2, "Promoted"), 1)
    reports(team.after(hours=25), 0.95).settle()
    assert "watchedUntil" not in team.status["runs"][0]
    assert (team.runs[0], team.status["unpromoted"]) == ((2, "Promoted"), 0)
    # From now on it is a decay like any other.
    assert reports(team.after(minutes=1), 0.6).settle().runs[0] == (3, "Training")


def test_its_end_is_not_slept_through() -> None:
    """Nothing is reported, and nothing else wakes the policy."""
    team = promoted()
    team.world.remove(team.world.get(METRICSERIES, "team", "churn") or {})
    assert team.settle().plan.requeue_after == 24 * 3600 - 60
    team.after(seconds=24 * 3600 - 60).settle()
    assert "watchedUntil" not in team.status["runs"][0]
    assert team.plan.requeue_after is None


def test_one_that_something_else_took_over_from_was_neither() -> None:
    team = promoted()
    team.after(minutes=1)
    promote(team.deployment, 7, team.now)
    reports(team, 0.6).settle()
    assert team.runs == [(2, "Training"), (1, "Promoted")]
    assert "watchedUntil" not in team.status["runs"][1]


def test_a_tick_on_probation_is_a_run_like_any_other() -> None:
    team = promoted(ACCURACY, HOURLY)
    reports(team.after(minutes=59), 0.95).settle()
    assert team.runs == [(2, "Training"), (1, "Promoted")]


@pytest.mark.parametrize("why", ["suspended", "a storm"])
def test_what_starts_no_run_rolls_nothing_back_either(why: str) -> None:
    team = promoted()
    if why == "suspended":
        team.edit(suspend=True)
    else:
        receivers = {"oncall": {"form": "Slack", "url": "http://slack"}}
        team.config = Config.model_validate({"retraining": {"storm": STORM}, "receivers": receivers})
        in_trouble(team, 9, timedelta())
    assert reports(team, 0.6).settle().runs == [(1, "Promoted")]
    assert team.trigger("accuracy")["state"] == "Held"


def test_where_nothing_comes_back_the_next_version_helps() -> None:
    team = promoted()
    reports(team, 0.6).settle()
    reports(team.after(minutes=9), 0.6).settle()
    assert team.runs == [(1, "RolledBack")]
    assert reports(team.after(minutes=2), 0.6).settle().runs[0] == (2, "Training")


def test_a_request_by_hand_need_not_wait_for_it() -> None:
    team = promoted()
    reports(team, 0.6).settle()
    assert team.request("now").settle().runs[0] == (2, "Training")


def test_without_a_watch_it_is_a_decay() -> None:
    team = Team(a_policy(ACCURACY)).report(0.7).settle().succeeds().settle()
    team.after(minutes=5).promotes().settle()
    assert "watchedUntil" not in team.status["runs"][0]
    assert reports(team.after(minutes=1), 0.6).settle().runs == [(2, "Training"), (1, "Promoted")]
