"""Accelerator-hours: what a pod asks for, what trainings used of it, and that no run starts while they are spent."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.api.base import format_time, parse_duration
from perennial.api.retrainpolicy import AcceleratorUse, Budget, RetrainPolicyStatus
from perennial.config import Config, TrainingRuntime
from perennial.plan import Body
from perennial.retrainpolicy.accelerators import asked_for, kept, room, used
from tests.unit.retrainpolicy.builders import HOURLY, NIGHTLY, NOW, Team, a_policy
from tests.world import conditions

GPU = "nvidia.com/gpu"
OFTEN: Body = {"name": "often", "schedule": {"cron": "*/5 * * * *"}}


def a_pod(*limits: Body, first: tuple[Body, ...] = ()) -> Body:
    """A pod template whose containers have these limits; `first`: its initContainers."""
    containers = [{"name": f"c{number}", "resources": {"limits": one}} for number, one in enumerate(limits)]
    return {"spec": {"containers": containers, "initContainers": list(first)}}


def trains_on(accelerators: int) -> Body:
    return {"spec": {"model": {"name": "churn"}, "template": a_pod({GPU: accelerators})}}


def a_team(hours: int | None, per: str = "24h", *, accelerators: int = 1, trigger: Body = HOURLY, **spec: Any) -> Team:
    """A policy with so many accelerator-hours, and a tick each hour."""
    limit = {"acceleratorHours": hours} if hours else {"runs": 20}
    usual = {"unpromotedLimit": 1000, "trainingJobTemplate": trains_on(accelerators), "budget": limit | {"per": per}}
    return Team(a_policy(trigger, **(usual | spec)))


def runs_since(team: Team, time: datetime, run: int | None = None, before: int = 0) -> None:
    team.job(run)["status"] = {"runningSince": format_time(time)} | ({"runningSeconds": before} if before else {})


def ends(team: Team, seconds: int, run: int | None = None, how: str = "fails") -> None:
    """The training of a run ends now, after so many seconds."""
    getattr(team, how)(run)
    team.job(run)["status"] |= {"runningSeconds": seconds, "completionTime": format_time(team.now)}
    team.settle()


def of(team: Team, run: int = 1) -> Body | None:
    """What the status says that a run used."""
    return next(one.get("acceleratorUse") for one in team.status["runs"] if one["number"] == run)


class TestWhatAPodAsksFor:
    @pytest.mark.parametrize(
        ("template", "count"),
        [
            ({}, 0),
            ({"spec": None}, 0),
            (a_pod({"cpu": "4", "memory": "8Gi", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"}), 0),
            (a_pod({GPU: 1}), 1),
            (a_pod({GPU: "8", "cpu": 4}), 8),
            (a_pod({"amd.com/gpu": "2"}, {GPU: 1}), 3),
            (a_pod({"google.com/tpu": 4}), 4),
            (a_pod({"nvidia.com/mig-1g.5gb": 3}), 3),
            (a_pod({"kubernetes.io/batteries": 1, "x.kubernetes.io/y": 1, "requests.nvidia.com/gpu": 1}), 0),
            (a_pod({GPU: "1k", "a.b/c": "2000m", "a.b/d": "2e0"}), 1004),
            (a_pod({GPU: "many", "a.b/c": -1, "a.b/d": "inf", "a.b/e": None}), 0),
            (a_pod({GPU: "9" * 64}, {GPU: "9" * 64}), 2_147_483_647),
            (a_pod({GPU: 2}, first=({"resources": {"limits": {GPU: 1}}}, {"resources": {"limits": {GPU: 1}}})), 2),
            (a_pod({GPU: 1}, first=({"resources": {"limits": {GPU: 4}}}, {"resources": {"limits": {GPU: 3}}})), 4),
            (a_pod({GPU: 1}, first=({"restartPolicy": "Always", "resources": {"limits": {GPU: 1}}},)), 2),
            ({"spec": {"containers": [{"name": "train", "resources": None}, {"name": "b", "resources": {}}]}}, 0),
            ({"spec": {"containers": [{"name": "train", "resources": {"limits": None}}], "initContainers": None}}, 0),
        ],
    )
    def test_is_counted_over_its_containers(self, template: Body, count: int) -> None:
        assert asked_for({"template": template}, Config()) == count

    def test_is_counted_with_its_preset(self) -> None:
        config = Config(training_runtimes={"torch": TrainingRuntime(template=a_pod({GPU: 4}))})
        assert asked_for({"runtime": "torch"}, config) == 4
        assert asked_for({"runtime": "torch", "template": a_pod({GPU: 1})}, config) == 1
        assert asked_for({"runtime": "jax"}, config) is None


class TestWhatARunUsed:
    def test_is_written_when_it_begins_to_run_and_when_it_has_ended(self) -> None:
        team = a_team(100, accelerators=4).after(hours=1).settle()
        assert of(team) is None, "it waits for its pod"
        begun = team.after(minutes=5).now
        runs_since(team, begun)
        assert of(team.settle()) == {"accelerators": 4, "acceleratorSeconds": 0, "since": format_time(begun)}
        before = team.writes
        team.after(minutes=20).settle()
        assert team.writes == before, "what goes on is no news"
        ends(team.after(minutes=10), 1800)
        assert of(team) == {"accelerators": 4, "acceleratorSeconds": 7200, "until": format_time(team.now)}

    def test_is_none_where_it_asks_for_none(self) -> None:
        team = a_team(None, accelerators=0).after(hours=1).settle()
        runs_since(team, team.now)
        assert of(team.settle()) is None
        ends(team, 1800)
        assert of(team) is None

    def test_is_known_also_without_a_budget(self) -> None:
        """So that one that is given later knows of it."""
        team = a_team(None, trigger=NIGHTLY).request("one").settle()
        ends(team.after(hours=2), 7200)
        team.edit(budget={"acceleratorHours": 2, "per": "24h"}).request("two").settle()
        assert team.runs == [(1, "Failed")]
        assert "2 of 2 accelerator-hours in 24h are spent" in team.message

    @pytest.mark.parametrize("how", ["by hand", "by its replacement"])
    def test_stays_when_the_training_is_deleted_while_it_runs(self, how: str) -> None:
        team = a_team(100, accelerators=2, concurrencyPolicy="Replace").after(hours=1).settle()
        runs_since(team, team.now, before=60)
        team.settle().after(minutes=30)
        if how == "by hand":
            team.world.remove(team.job())
        else:
            team.request("now")
        team.settle()
        assert of(team) == {"accelerators": 2, "acceleratorSeconds": 2 * 1860, "until": format_time(team.now)}
        assert of(team.after(hours=1).settle()) == {
            "accelerators": 2,
            "acceleratorSeconds": 2 * 1860,
            "until": format_time(team.now - timedelta(hours=1)),
        }

    def test_stays_when_the_finished_training_is_tidied_away(self) -> None:
        team = a_team(100).after(hours=1).settle()
        ends(team.after(minutes=30), 1800)
        known = of(team)
        team.world.remove(team.job())
        assert of(team.after(minutes=1).settle()) == known

    def test_stands_still_while_it_is_suspended(self) -> None:
        team = a_team(100, accelerators=2).after(hours=1).settle()
        team.job()["status"] = {"phase": "Suspended", "runningSeconds": 600}
        known = {"accelerators": 2, "acceleratorSeconds": 1200, "until": format_time(team.now)}
        assert of(team.settle()) == known
        assert of(team.after(minutes=10).settle()) == known
        runs_since(team, team.now, before=600)
        assert of(team.settle()) == {"accelerators": 2, "acceleratorSeconds": 1200, "since": format_time(team.now)}
        ends(team.after(minutes=5), 900)
        assert of(team) == {"accelerators": 2, "acceleratorSeconds": 1800, "until": format_time(team.now)}

    def test_does_not_change_with_the_preset(self) -> None:
        team = a_team(100, trainingJobTemplate={"spec": {"model": {"name": "churn"}, "runtime": "torch"}})
        team.config = Config(training_runtimes={"torch": TrainingRuntime(template=a_pod({GPU: 4}))})
        team.after(hours=1).settle()
        runs_since(team, team.now)
        team.settle()
        team.config = Config(training_runtimes={"torch": TrainingRuntime(template=a_pod({GPU: 8}))})
        ends(team.after(minutes=10), 600)
        assert (of(team) or {})["acceleratorSeconds"] == 2400

    def test_is_what_the_status_can_hold(self) -> None:
        team = a_team(500_000, accelerators=2_000_000_000).after(hours=1).settle()
        ends(team.after(hours=9), 9 * 3600)
        RetrainPolicyStatus.model_validate(team.status)
        assert ("hourly", "BudgetSpent") in team.after(hours=1).settle().skipped
        assert len(team.runs) == 1


class TestTheBudget:
    def test_holds_until_the_period_has_passed(self) -> None:
        team = a_team(8, "12h", accelerators=4).after(hours=1).settle()
        ends(team.after(hours=2, minutes=10), 7200)
        spent = team.now
        team.after(hours=1).settle()
        assert team.runs == [(1, "Failed")]
        assert team.skipped[0] == ("hourly", "BudgetSpent")
        until = spent - timedelta(hours=2) + timedelta(hours=12, seconds=1)
        assert f"8 of 8 accelerator-hours in 12h are spent until {format_time(until)} (spec.budget)" in team.message
        team.now = until - timedelta(seconds=2)
        assert team.settle().runs == [(1, "Failed")]
        assert team.plan.requeue_after == 2
        team.now = until - timedelta(seconds=1)
        assert team.settle().runs == [(1, "Failed")]
        team.now = until
        assert team.settle().runs[0] == (2, "Training")

    def test_counts_requests_by_hand(self) -> None:
        team = a_team(1).request("one").settle()
        ends(team.after(hours=1), 3600)
        assert "1 of 1 accelerator-hours" in team.request("two").settle().trigger("request")["message"]
        assert team.runs == [(1, "Failed")]

    def test_counts_what_still_runs(self) -> None:
        team = a_team(2, "3h", concurrencyPolicy="Allow").after(hours=1).settle()
        runs_since(team, team.now)
        assert team.after(hours=1).settle().runs == [(2, "Training"), (1, "Training")]
        team.after(hours=1).settle()
        assert team.skipped == [("hourly", "BudgetSpent")]
        words = "2 of 2 accelerator-hours in 3h are spent until a training that goes on has ended (spec.budget)"
        assert words in team.trigger("hourly")["message"]
        assert len(team.runs) == 2

    def test_goes_by_the_period_when_a_training_is_longer(self) -> None:
        team = a_team(4, "3h").after(hours=1).settle()
        ends(team.after(hours=30), 30 * 3600)
        assert team.after(hours=1).settle().runs[0] == (2, "Training"), "of these 30 hours the period has three"

    def test_and_that_of_runs_hold_both(self) -> None:
        team = a_team(1, budget={"runs": 2, "acceleratorHours": 3, "per": "24h"})
        for _ in range(2):
            ends(team.after(hours=1).settle().after(minutes=30), 1800)
        assert team.after(hours=1).settle().skipped[0] == ("hourly", "BudgetSpent")
        assert "2 runs in 24h are spent" in team.message

    def test_that_could_never_be_spent_is_said(self) -> None:
        team = a_team(8, accelerators=0).request("one").settle()
        assert team.runs == []
        assert conditions(team.status)["Stalled"] == ("True", "InvalidBudget")
        assert team.message.startswith("spec.budget.acceleratorHours: limits nothing")
        team.edit(budget={"runs": 1, "acceleratorHours": 8, "per": "24h"}).settle()
        assert team.runs == [(1, "Training")]

    def test_of_a_preset_that_is_not_there_is_the_trainings_to_tell(self) -> None:
        template = {"spec": {"model": {"name": "churn"}, "runtime": "torch"}}
        assert a_team(8, trainingJobTemplate=template).request("one").settle().runs == [(1, "Training")]

    def test_of_nothing_is_said(self) -> None:
        team = a_team(1, budget={"per": "24h"}).settle()
        assert conditions(team.status)["Stalled"] == ("True", "InvalidSpec")
        assert "give at least one limit: runs or acceleratorHours" in team.message

    def test_knows_of_runs_that_are_not_remembered_any_more(self) -> None:
        team = a_team(2, "24h", trigger=OFTEN)
        begun = team.now
        while len(team.made) < 60 and ("often", "BudgetSpent") not in (team.skipped if team.writes else []):
            team.after(minutes=5).settle()
            if team.status["active"]:
                ends(team.after(minutes=4), 240)
                team.after(minutes=-4)
        assert len(team.made) == 30, "of four minutes each"
        assert len(team.status["runs"]) == 20
        assert len(team.status["pastAcceleratorUse"]) <= 21
        # A part of the period is free at once, after its last run, and the next such part later.
        first = begun + timedelta(hours=24)
        team.now = first
        assert len(team.settle().made) == 30
        team.now = first + timedelta(hours=24 / 20 + 0.2)
        assert len(team.settle().made) == 31

    def test_forgets_them_with_the_budget(self) -> None:
        team = a_team(100, trigger=OFTEN)
        for _ in range(25):
            team.after(minutes=5).settle()
            ends(team, 240)
        assert sum(one["acceleratorSeconds"] for one in team.status["pastAcceleratorUse"]) == 5 * 240
        assert "pastAcceleratorUse" not in team.edit(budget={"runs": 1}).settle().status


def uses(latest: int = 0) -> st.SearchStrategy[AcceleratorUse]:
    """Trainings that ended up to three days ago, or go on."""
    ended = st.builds(
        lambda number, seconds, ago: AcceleratorUse(
            accelerators=number, accelerator_seconds=number * seconds, until=NOW - timedelta(seconds=ago)
        ),
        st.integers(1, 9),
        st.integers(0, 50_000),
        st.integers(latest, 250_000),
    )
    goes_on = ended.map(lambda use: use.model_copy(update={"since": use.until, "until": None}))
    return st.one_of(ended, ended, goes_on)


PERIODS = st.sampled_from(["0s", "1s", "59m", "6h", "24h", "48h"]).map(parse_duration)


@given(st.lists(uses(-5000), max_size=8), PERIODS, st.integers(1, 20))
def test_there_is_room_from_the_second_that_is_said_and_not_before(
    those: list[AcceleratorUse], per: timedelta, allowed: int
) -> None:
    allowed *= 3600
    if used(those, per, NOW) < allowed:
        return
    until = room(those, allowed, per, NOW)
    later = [NOW + timedelta(seconds=second) for second in (*range(0, 400_000, 997), 10_000_000)]
    if until is None:
        assert all(used(those, per, time) >= allowed for time in later)
    else:
        assert until > NOW
        assert used(those, per, until) < allowed <= used(those, per, until - timedelta(seconds=1))
        assert all(used(those, per, time) >= allowed for time in later if time < until)


@given(st.lists(uses(), max_size=80), st.sampled_from(["0s", "1s", "59m", "24h", "8760h"]))
def test_what_is_remembered_in_parts_is_few_and_never_less(those: list[AcceleratorUse], per: str) -> None:
    budget, period = Budget(acceleratorHours=1, per=per), parse_duration(per)
    parts = kept(those, budget, NOW)
    assert len(parts) <= 21
    assert kept(parts, budget, NOW) == parts
    ended = [one for use in those for one in kept([use], budget, NOW)]
    for share in range(21):
        time = NOW + period * share / 20
        assert used(parts, period, time) >= used(ended, period, time)
    assert used(parts, period, NOW + period + timedelta(seconds=1)) == 0


@given(st.lists(uses(-5000), max_size=80), st.sampled_from(["0s", "1s", "24h"]))
def test_it_is_few_parts_also_after_the_clock_was_set_back(those: list[AcceleratorUse], per: str) -> None:
    assert len(kept(those, Budget(acceleratorHours=1, per=per), NOW)) <= 21


@settings(max_examples=40)
@given(
    st.integers(1, 4),
    st.sampled_from(["10m", "2h", "7h"]),
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(["end", "delete", "go on"])), max_size=40),
    st.sampled_from(["Forbid", "Allow", "Replace"]),
)
def test_no_run_starts_while_the_budget_is_spent(
    hours: int, per: str, accelerators: int, steps: list[tuple[int, str]], policy: str
) -> None:
    """Whatever became of the trainings, as it really was; and what may start starts."""
    team = a_team(hours, per, accelerators=accelerators, trigger=OFTEN, concurrencyPolicy=policy)
    ran: dict[int, tuple[datetime, datetime | None]] = {}
    for wait, what in steps:
        team.after(seconds=wait)
        real = 0.0
        for begin, end in ran.values():
            last, first = min(end or team.now, team.now), max(begin, team.now - parse_duration(per))
            real += accelerators * max(0.0, (last - first).total_seconds())
        made = len(team.made)
        team.settle()
        if real >= hours * 3600:
            assert len(team.made) == made
        elif policy == "Allow" and len(team.runs) < 20:
            assert team.trigger("often")["state"] != "Held"
        for number, phase in team.runs:
            begin, end = ran.get(number, (team.now, None))
            if phase == "Replaced" and number in ran and end is None:
                ran[number] = (begin, team.now)
            elif phase == "Training" and number not in ran:
                ran[number] = (begin, None)
                runs_since(team, begin, number)
            elif phase == "Training" and what == "end":
                ran[number] = (begin, team.now)
                ends(team, int((team.now - begin).total_seconds()), number)
            elif phase == "Training" and what == "delete":
                ran[number] = (begin, team.now)
                team.world.remove(team.job(number))
        team.decide()
