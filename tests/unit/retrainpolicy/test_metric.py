"""Metric triggers: what a look finds, by samples, time and what came before."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.retrainpolicy import Cause, Run, RunPhase, TriggerState, TriggerStatus
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.metric import look
from perennial.sources.evidence import Evidence
from perennial.sources.reported import Reported
from tests.unit.retrainpolicy.builders import NOW, Team, a_deployment, a_policy, a_trigger

MINUTE = timedelta(minutes=1)


def a_team(*samples: tuple[float, int, float]) -> Team:
    """A deployment that reported (minutes ago, count, value)."""
    team = Team(a_policy())
    for ago, count, value in samples:
        team.report(value, count=count, at=NOW - ago * MINUTE)
    return team


def look_at(team: Team, before: TriggerStatus | None = None, *runs: Run, now: datetime = NOW, **metric: Any) -> Look:
    serving = ModelDeploymentStatus.model_validate(team.deployment["status"])
    series = next((body for key, body in team.world.objects.items() if key[0].kind == "MetricSeries"), None)
    return look(a_trigger(**metric), Sight(before, runs, "team", "churn", serving, series, NOW, now))


def a_run(phase: RunPhase, started: datetime, trigger: str = "accuracy") -> Run:
    return Run(number=7, cause=Cause(trigger=trigger, type="Metric"), phase=phase, start_time=started)


@pytest.mark.parametrize(
    ("samples", "metric", "state", "value"),
    [
        pytest.param([], {}, TriggerState.WAITING, None, id="nothing reported"),
        pytest.param([(5, 10, 0.8)], {"minSamples": 11}, TriggerState.WAITING, None, id="too few samples"),
        pytest.param([(90, 10, 0.8)], {}, TriggerState.WAITING, None, id="older than the window"),
        pytest.param([(5, 10, 0.95)], {}, TriggerState.OK, 0.95, id="within the limit"),
        pytest.param([(5, 10, 0.9)], {}, TriggerState.OK, 0.9, id="at the limit is not below it"),
        pytest.param([(5, 30, 0.8), (4, 10, 1.0)], {}, TriggerState.CROSSED, 0.85, id="average by count"),
        pytest.param([(5, 30, 0.8), (4, 1, 1.0)], {"aggregate": "Max"}, TriggerState.OK, 1.0, id="max"),
        pytest.param([(5, 30, 1.0), (4, 1, 0.8)], {"aggregate": "Min"}, TriggerState.CROSSED, 0.8, id="min"),
        pytest.param([(5, 30, 1.0), (4, 1, 0.8)], {"aggregate": "Last"}, TriggerState.CROSSED, 0.8, id="last"),
        pytest.param([(5, 3, 0.2), (4, 1, 0.1)], {"aggregate": "Sum"}, TriggerState.CROSSED, 0.7, id="sum"),
        pytest.param(
            [(5, 3, 1), (4, 1, 1)],
            {"aggregate": "Count", "above": 3, "below": None},
            TriggerState.CROSSED,
            4,
            id="count above",
        ),
        pytest.param([(5, 1, 0.8)], {"window": "721h"}, TriggerState.INVALID, None, id="longer than what is kept"),
        pytest.param([(5, 1, 0.8)], {"window": "0s"}, TriggerState.INVALID, None, id="no window"),
        pytest.param([(5, 1, 0.8)], {"for": "10m"}, TriggerState.CROSSED, 0.8, id="not yet for long enough"),
    ],
)
def test_what_a_look_finds(
    samples: list[tuple[float, int, float]], metric: dict[str, Any], state: TriggerState, value: float | None
) -> None:
    found = look_at(a_team(*samples), **metric)
    assert (found.row.state, found.row.value) == (state, value)
    assert (found.cause is not None) == (state is TriggerState.CROSSED and "for" not in metric)


def test_the_cause_says_what_was_seen() -> None:
    cause = look_at(a_team((5, 30, 0.8))).cause
    assert cause
    assert cause.message == "accuracy is 0.8 (Average of 30 samples in 1h), below 0.9"
    assert (cause.value, cause.limit, cause.samples, cause.revision) == (0.8, 0.9, 30, "churn-r1")


def test_what_another_model_reported_does_not_count() -> None:
    team = a_team((5, 30, 0.8))
    team.deployment = a_deployment(NOW - 4 * MINUTE, version=2)
    assert look_at(team).row.state is TriggerState.WAITING
    team.report(0.95)
    assert look_at(team).row.value == 0.95


def test_samples_of_the_minute_of_the_promotion_count() -> None:
    team = Team(a_policy(), a_deployment(NOW + timedelta(seconds=40)))
    team.report(0.8, at=NOW + timedelta(seconds=45))
    assert look_at(team, now=NOW + MINUTE).cause


def test_without_a_promoted_model_nothing_is_decided() -> None:
    team = a_team((5, 30, 0.8))
    team.deployment["status"].pop("stableRevision")
    assert look_at(team).row.state is TriggerState.WAITING


_OUTSIDE = {"below": None, "outside": {"below": 0.4, "above": 0.6}}


@pytest.mark.parametrize(
    ("value", "state", "words", "limit"),
    [
        (0.39, TriggerState.CROSSED, "outside of 0.4 to 0.6", 0.4),
        (0.4, TriggerState.OK, "not outside of 0.4 to 0.6", None),
        (0.6, TriggerState.OK, "not outside of 0.4 to 0.6", None),
        (0.61, TriggerState.CROSSED, "outside of 0.4 to 0.6", 0.6),
    ],
)
def test_outside_of_two_limits(value: float, state: TriggerState, words: str, limit: float | None) -> None:
    found = look_at(a_team((5, 1, value)), **_OUTSIDE)
    assert found.row.state is state
    assert found.row.message.endswith(f", {words}")
    assert (found.cause and found.cause.limit) == limit


class TestRecovery:
    @pytest.mark.parametrize(
        ("metric", "first", "between", "well"),
        [
            ({"recoverAbove": 0.95}, 0.8, 0.95, 0.96),
            ({"below": None, "above": 0.5, "recoverBelow": 0.4}, 0.6, 0.4, 0.39),
        ],
    )
    def test_what_is_crossed_stays_so_until_it_has_recovered(
        self, metric: dict[str, Any], first: float, between: float, well: float
    ) -> None:
        rule = {"aggregate": "Last", "for": "10m", **metric}
        assert look_at(a_team((5, 1, between)), **rule).row.state is TriggerState.OK
        crossed = look_at(a_team((5, 1, first)), **rule).row
        held = look_at(a_team((4, 1, between)), crossed, **rule).row
        assert (held.state, held.crossed_since) == (TriggerState.CROSSED, crossed.crossed_since)
        assert "not yet" in held.message
        assert look_at(a_team((3, 1, well)), held, **rule).row.state is TriggerState.OK


_BREACHES: dict[str, Any] = {"window": "4m", "breaches": {"atLeast": 2, "of": 3}}


class TestBreaches:
    @pytest.mark.parametrize(
        ("samples", "state"),
        [
            pytest.param([(1, 1, 0.8)], TriggerState.OK, id="one"),
            pytest.param([(1, 1, 0.8), (9, 1, 0.8)], TriggerState.CROSSED, id="the last and the first"),
            pytest.param([(1, 1, 0.95), (5, 1, 0.8), (9, 1, 0.8)], TriggerState.CROSSED, id="not the last"),
            pytest.param([(1, 1, 0.8), (2, 1, 0.8), (9, 1, 0.95)], TriggerState.OK, id="twice in one window"),
            pytest.param([(1, 1, 0.8), (13, 1, 0.8)], TriggerState.OK, id="before the first"),
            pytest.param([(5, 1, 0.8), (9, 1, 0.8)], TriggerState.WAITING, id="nothing in the last"),
        ],
    )
    def test_so_many_of_the_last_windows(self, samples: list[tuple[float, int, float]], state: TriggerState) -> None:
        assert look_at(a_team(*samples), **_BREACHES).row.state is state

    def test_one_with_too_few_samples_does_not_count(self) -> None:
        team = a_team((1, 2, 0.8), (5, 1, 0.8))
        found = look_at(team, minSamples=2, **_BREACHES)
        assert found.row.state is TriggerState.OK
        assert found.row.message.endswith("below 0.9; crossed in 1 of the last 3 windows")

    def test_a_window_before_the_promotion_has_nothing(self) -> None:
        team = a_team((1, 1, 0.8), (5, 1, 0.8))
        team.deployment = a_deployment(NOW - 3 * MINUTE)
        assert look_at(team, **_BREACHES).row.state is TriggerState.OK

    def test_more_than_is_kept_is_said(self) -> None:
        found = look_at(a_team((1, 1, 0.8)), window="300h", breaches={"atLeast": 1, "of": 3})
        assert found.row.state is TriggerState.INVALID


@given(
    window=st.sampled_from([1, 4, 5, 15, 20, 60, 180]),
    windows=st.integers(1, 12),
    samples=st.lists(st.tuples(st.integers(0, 700), st.integers(1, 3)), max_size=30),
    second=st.integers(0, 59),
    delay=st.sampled_from([0, 1, 7, 45, 200]),
)
def test_each_sample_is_in_one_of_the_windows_beside_each_other(
    window: int, windows: int, samples: list[tuple[int, int]], second: int, delay: int
) -> None:
    reach = window * windows
    assume(reach + delay <= 60 or (window >= 15 and reach + delay <= 700))
    team = Team(a_policy())
    now = NOW + timedelta(seconds=second)
    for ago, count in sorted(samples, reverse=True):
        team.report(1, count=count, at=now - ago * MINUTE)
    series = next((body for key, body in team.world.objects.items() if key[0].kind == "MetricSeries"), None)
    whole = Evidence("accuracy", "churn-r1", now - timedelta(days=2), reach * MINUTE, now, series, delay * MINUTE)
    each = replace(whole, window=window * MINUTE)
    found = [Reported().summary(replace(each, ago=ago)) for ago in range(windows)]
    all_of_it = Reported().summary(whole)
    assert sum(one.count for one in found if one) == (all_of_it.count if all_of_it else 0)


class TestFor:
    def test_a_crossing_must_hold_without_a_break(self) -> None:
        team = a_team((0, 1, 0.8))
        first = look_at(team, **{"for": "10m"})
        assert (first.row.crossed_since, first.wakes[-1]) == (NOW, NOW + 10 * MINUTE)
        before = look_at(team, first.row, now=NOW + 9 * MINUTE, **{"for": "10m"})
        assert (before.row.crossed_since, before.cause) == (NOW, None)
        assert look_at(team, before.row, now=NOW + 10 * MINUTE, **{"for": "10m"}).cause

    @pytest.mark.parametrize("breach_ends_by", ["a good value", "too few samples", "a promotion", "an edit"])
    def test_a_break_begins_it_anew(self, breach_ends_by: str) -> None:
        team = a_team((0, 1, 0.8))
        rule: dict[str, Any] = {"for": "10m", "aggregate": "Last", "window": "4m"}
        before = look_at(team, **rule).row
        team.now = now = NOW + 5 * MINUTE
        match breach_ends_by:
            case "a good value":
                team.report(1.0, at=now)
                before = look_at(team, before, now=now, **rule).row
            case "too few samples":
                before = look_at(team, before, now=now, **rule).row
            case "a promotion":
                team.deployment = a_deployment(now, version=2)
            case "an edit":
                rule["below"] = 0.85
        team.now = now = NOW + 11 * MINUTE
        team.report(0.8, at=now)
        found = look_at(team, before, now=now, **rule)
        assert (found.row.crossed_since, found.cause) == (now, None)


@pytest.mark.parametrize(
    ("run", "answered"),
    [
        pytest.param(a_run(RunPhase.TRAINING, NOW - MINUTE), True, id="its own run is under way"),
        pytest.param(a_run(RunPhase.TRAINING, NOW, "nightly"), True, id="another's, begun since"),
        pytest.param(a_run(RunPhase.TRAINING, NOW - MINUTE, "nightly"), False, id="another's, begun before"),
        pytest.param(a_run(RunPhase.FAILED, NOW), False, id="a run that failed"),
        pytest.param(a_run(RunPhase.DRY_RUN, NOW), True, id="a dry run"),
        pytest.param(a_run(RunPhase.DRY_RUN, NOW - MINUTE), False, id="a dry run for an earlier crossing"),
    ],
)
def test_the_same_breach_does_not_start_a_second_run(run: Run, answered: bool) -> None:
    found = look_at(a_team((5, 30, 0.8)), None, run)
    assert (found.cause is None) == answered
    assert ("run 7 deals with it" in found.row.message) == answered


def test_it_is_looked_at_again_when_a_bucket_leaves_the_window() -> None:
    assert look_at(a_team((5, 1, 0.95)), now=NOW + timedelta(seconds=20)).wakes == (NOW + MINUTE,)
    assert look_at(a_team()).wakes == ()
