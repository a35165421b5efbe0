"""Policies under anything: lost statuses, passes for nothing, clocks that jump, and what people and clusters do."""

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.api.base import parse_duration, parse_time
from perennial.api.resources import TRAININGJOBS
from perennial.plan import Body
from tests.unit.retrainpolicy.builders import ACCURACY, Team, a_policy

EVERY_20: Body = {"name": "every20", "schedule": {"cron": "*/20 * * * *"}}
LATE: Body = {"name": "late", "schedule": {"cron": "5 * * * *", "startingDeadlineSeconds": 600}}
UNDER_WAY = ("Pending", "Training", "Deciding", "AwaitingApproval", "RollingOut")

CALM = st.one_of(
    st.tuples(st.just("crash"), st.just(None)),
    st.tuples(st.just("wait"), st.sampled_from([1, 300, 1200, 4000, 90_000])),
    st.tuples(st.just("report"), st.sampled_from([0.5, 0.95])),
    st.tuples(st.just("request"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("succeed"), st.booleans()),
    st.tuples(st.just("fail"), st.none()),
    st.tuples(st.just("delete"), st.none()),
    st.tuples(st.just("suspend"), st.booleans()),
)
JUMPY = CALM | st.tuples(st.just("clock goes back"), st.sampled_from([5, 700]))
SPECS = st.fixed_dictionaries(
    {
        "concurrencyPolicy": st.sampled_from(["Forbid", "Replace", "Allow"]),
        "cooldown": st.sampled_from(["0s", "1h"]),
        "budget": st.sampled_from([None, {"runs": 2, "per": "2h"}]),
        "unpromotedLimit": st.sampled_from([1000, 2]),
        "dryRun": st.sampled_from([False, False, False, True]),
    }
)


class Watched(Team):
    """Keeps every run that was ever in the status, as it was seen last, and the requests that people made."""

    def __init__(self, policy: Body) -> None:
        super().__init__(policy)
        self.history: dict[int, Body] = {}
        self.active_at_start: dict[int, int] = {}
        self.asked: list[str] = []

    def decide(self, **how: Any) -> Any:
        plan = super().decide(**how)
        rows = (self.policy.get("status") or {}).get("runs") or ()
        for row in rows:
            if row["number"] not in self.history:
                self.active_at_start[row["number"]] = sum(one["phase"] in UNDER_WAY for one in rows)
            self.history[row["number"]] = row
        return plan

    def take(self, step: str, what: Any) -> None:
        training = [number for number, row in self.history.items() if row["phase"] == "Training"]
        match step:
            case "crash":
                self.decide(status_lost=True)
            case "wait":
                self.after(seconds=what)
            case "clock goes back":
                self.after(seconds=-what)
            case "report":
                self.report(what, count=10)
            case "request":
                self.asked += [what] if self.asked[-1:] != [what] else []
                self.request(what)
            case "suspend":
                self.edit(suspend=what)
            case "succeed" if training and self.world.get(TRAININGJOBS, "team", f"churn-{training[0]}"):
                self.succeeds(training[0])
                if what:
                    self.promotes()
                else:
                    self.says("Rejected")
            case "fail" if training and self.world.get(TRAININGJOBS, "team", f"churn-{training[0]}"):
                self.fails(training[0])
            case "delete" if training and self.world.get(TRAININGJOBS, "team", f"churn-{training[0]}"):
                self.world.remove(self.job(training[0]))
        if step != "crash":
            self.decide()


@settings(max_examples=60)
@given(SPECS, st.lists(CALM, max_size=40) | st.lists(JUMPY, max_size=40))
def test_runs_are_started_once_and_within_their_limits(spec: Body, steps: list[tuple[str, Any]]) -> None:
    team = Watched(a_policy(ACCURACY, EVERY_20, LATE, **spec))
    for step, what in steps:
        team.take(step, what)
    team.edit(suspend=False).settle()
    runs = [team.history[number] for number in sorted(team.history)]

    # Each run that was to train has its TrainingJob, made once; a run that was replaced at once may never have had one.
    wanted = {run["trainingJob"] for run in runs if run["phase"] not in ("DryRun", "Replaced")}
    assert wanted <= set(team.made) <= {run.get("trainingJob") for run in runs}
    assert len(team.made) == len(set(team.made))
    assert [run["number"] for run in runs] == list(range(1, len(runs) + 1))

    # Each tick and each request is the cause of one run at most.
    ticks = Counter((run["cause"]["trigger"], run["cause"].get("scheduledTime")) for run in runs)
    assert all(count == 1 for (trigger, _), count in ticks.items() if trigger in ("every20", "late"))
    requests = [run["cause"]["request"] for run in runs if run["cause"]["type"] == "Request"]
    assert len(requests) <= len(team.asked)

    if spec["concurrencyPolicy"] != "Allow":
        assert all(active <= 1 for active in team.active_at_start.values())
    if all(step != "clock goes back" for step, _ in steps):
        _assert_budget(spec["budget"], runs)
        _assert_cooldown(spec, runs)
    if spec["concurrencyPolicy"] != "Allow":
        assert team.status["unpromoted"] <= spec["unpromotedLimit"]


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.sampled_from(["10m", "45m", "2h"]),
    st.lists(st.integers(1, 3000), min_size=3, max_size=25),
)
def test_a_budget_is_kept_in_every_period(runs: int, per: str, waits: list[int]) -> None:
    """Against causes that never end: a tick every five minutes, with nothing else to hold them."""
    often: Body = {"name": "often", "schedule": {"cron": "*/5 * * * *"}}
    team = Watched(a_policy(often, concurrencyPolicy="Allow", unpromotedLimit=1000, budget={"runs": runs, "per": per}))
    for wait in waits:
        team.after(seconds=wait).settle()
        for number in [number for number, row in team.history.items() if row["phase"] == "Training"]:
            team.fails(number)
    started = [team.history[number] for number in sorted(team.history)]
    _assert_budget({"runs": runs, "per": per}, started)
    assert len(started) >= min(runs, sum(waits) // 3000)


def _assert_budget(budget: Body | None, runs: list[Body]) -> None:
    if budget:
        starts = [parse_time(run["startTime"]) for run in runs]
        for first, last in zip(starts, starts[budget["runs"] :], strict=False):
            assert last - first >= parse_duration(budget["per"])


def _assert_cooldown(spec: Body, runs: list[Body]) -> None:
    rest = parse_duration(spec["cooldown"])
    for run in runs:
        if run["cause"]["type"] == "Request":
            continue
        start = parse_time(run["startTime"])
        ends = [
            parse_time(one["completionTime"])
            for one in runs
            if one["number"] < run["number"] and "completionTime" in one
        ]
        before = [end for end in ends if end < start]
        assert not before or start - max(before) >= rest or rest == timedelta()


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_pass_whose_status_is_lost_changes_nothing(lost: list[bool]) -> None:
    """The same causes with and without crashes end in the same runs."""
    plain, crashed = (Team(a_policy(ACCURACY, EVERY_20, concurrencyPolicy="Allow")) for _ in range(2))
    for team in (plain, crashed):
        team.report(0.5, count=10)
    for crash in lost:
        crashed.decide(status_lost=crash)
    assert crashed.settle().status["runs"] == plain.settle().status["runs"]
    assert crashed.made == plain.made
