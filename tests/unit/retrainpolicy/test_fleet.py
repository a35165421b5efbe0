"""All policies together: whose turn it is, and trouble that many have at once."""

from collections import Counter
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.config import Config
from perennial.plan import Body, Create
from perennial.questions import Answer, Notice
from perennial.retrainpolicy.fleet import Fleet, Waiting
from perennial.view import Refusal
from tests.unit.retrainpolicy.builders import ACCURACY, NOW, Team, a_policy
from tests.world import conditions


def a_team(policy: Body | None = None, **retraining: Any) -> Team:
    team = Team(policy or a_policy(ACCURACY))
    receivers = {"oncall": {"form": "Slack", "url": "http://slack"}}
    team.config = Config.model_validate({"retraining": retraining, "receivers": receivers})
    return team


def beside(team: Team, namespace: str, name: str, *phases: str, trained: bool = True, **status: Any) -> Body:
    """Another policy with these runs; those that train, or all if they are `trained`, have a TrainingJob."""
    policy = deepcopy(a_policy(ACCURACY))
    policy["metadata"] |= {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}"}
    runs = [
        {
            "number": number,
            "cause": {"trigger": "accuracy", "type": "Metric"},
            "phase": phase,
            "trainingJob": f"{name}-{number}",
            "startTime": format_time(NOW - timedelta(minutes=1)),
        }
        for number, phase in enumerate(phases, 1)
    ]
    policy["status"] = {"active": len(runs), "runs": runs, **status}
    team.world.add(policy)
    for run in runs:
        if run["phase"] == "Training" or (trained and run["phase"] == "Pending"):
            metadata = {"name": run["trainingJob"], "namespace": namespace, "uid": f"uid-{run['trainingJob']}"}
            team.world.add({"apiVersion": policy["apiVersion"], "kind": "TrainingJob", "metadata": metadata})
    return policy


def done(team: Team, namespace: str, job: str) -> None:
    condition = {"type": "Complete", "status": "True", "reason": "Published", "message": ""}
    for (_, ns, name), body in team.world.objects.items():
        if (ns, name) == (namespace, job):
            body["status"] = {"conditions": [condition]}


class TestTurns:
    def test_a_run_waits_until_there_is_room(self) -> None:
        team = a_team(maxConcurrent=2)
        beside(team, "other", "a", "Training", "Promoted")
        beside(team, "other", "b", "Pending")
        team.report(0.7).settle()
        assert (team.runs, team.made) == ([(1, "Pending")], [])
        assert "waits for its turn: 2 retrainings may be under way at once (retraining.maxConcurrent)" in team.message
        assert conditions(team.status)["Ready"] == ("True", "RunUnderWay")
        assert team.plan.requeue_after is not None
        assert team.plan.requeue_after <= 10
        done(team, "other", "a-1")
        assert team.settle().runs == [(1, "Training")]

    def test_what_is_made_is_made_alone(self) -> None:
        team = a_team(maxConcurrent=1).report(0.7)
        team.decide()
        assert [action.alone for action in team.decide().actions if isinstance(action, Create)] == ["retraining"]
        free = a_team().report(0.7)
        free.decide()
        assert [action.alone for action in free.decide().actions if isinstance(action, Create)] == [""]

    def test_one_run_that_is_replaced_ends_before_the_next_begins(self) -> None:
        policy = a_policy(ACCURACY, concurrencyPolicy="Replace")
        team = a_team(policy, maxConcurrent=1).report(0.7).settle()
        assert team.made == ["churn-1"]
        team.request("now").settle()
        assert team.made == ["churn-1", "churn-2"]
        assert team.runs == [(2, "Training"), (1, "Replaced")]

    @pytest.mark.parametrize("how", ["refused", "suspended"])
    def test_one_that_would_not_begin_keeps_nobody_off(self, how: str) -> None:
        team = a_team(maxConcurrent=1)
        other = beside(team, "other", "a", "Pending", trained=False)
        if how == "refused":
            other["status"]["runs"][0]["message"] = "TrainingJob a-1: exceeded quota"
        else:
            other["spec"]["suspend"] = True
        assert team.report(0.7).settle().runs == [(1, "Training")]

    def test_one_that_is_refused_says_so_and_is_tried_again_while_there_is_room(self) -> None:
        team = a_team(maxConcurrent=1).report(0.7)
        team.decide()
        refusal = Refusal(TRAININGJOBS, "churn-1", "Forbidden", "exceeded quota")
        team.world.refusals[RETRAINPOLICIES, "team", "churn"] = refusal
        for _ in range(5):
            team.made.clear()
            if job := team.world.get(TRAININGJOBS, "team", "churn-1"):
                team.world.remove(job)
            team.after(seconds=10).decide()
            assert team.made == ["churn-1"], "and where it is refused again, nobody is kept off"
            assert team.status["runs"][0]["message"] == "TrainingJob churn-1: exceeded quota"

    def test_one_that_is_replaced_and_not_gone_yet_takes_its_place(self) -> None:
        team = a_team(maxConcurrent=1)
        policy = beside(team, "other", "a", "Replaced", "Deciding")
        metadata = {"name": "a-1", "namespace": "other", "uid": "uid-a-1", "deletionTimestamp": format_time(NOW)}
        team.world.add({"apiVersion": policy["apiVersion"], "kind": "TrainingJob", "metadata": metadata})
        assert team.report(0.7).settle().runs == [(1, "Pending")]

    def test_a_request_by_hand_goes_first(self) -> None:
        team = a_team(maxConcurrent=1)
        beside(team, "team", "a", "Pending", trained=False)
        assert team.request("now").settle().runs == [(1, "Training")]

    def test_a_namespace_with_few_under_way_comes_before_one_with_many(self) -> None:
        team = a_team(maxConcurrent=3)
        for name in "abc":
            beside(team, "greedy", name, "Pending" if name == "c" else "Training", trained=False)
        assert team.report(0.7).settle().runs == [(1, "Training")]

    @given(
        st.dictionaries(st.sampled_from("abcd"), st.integers(0, 4)),
        st.dictionaries(st.sampled_from("abcd"), st.integers(1, 6)),
        st.integers(1, 12),
    )
    def test_there_are_as_many_as_may_be_and_no_namespace_has_more_than_its_part(
        self, running: dict[str, int], waiting: dict[str, int], most: int
    ) -> None:
        queues = {
            space: [Waiting(False, True, format_time(NOW), number, f"uid-{space}", number) for number in range(count)]
            for space, count in waiting.items()
        }
        chosen = Counter(one.policy.removeprefix("uid-") for one in Fleet(running, queues).next(most))
        free = max(0, most - sum(running.values()))
        assert chosen.total() == min(free, sum(waiting.values()))
        has = Counter(running) + chosen
        for space, count in chosen.items():
            assert count <= waiting[space]
            for other in waiting:
                if chosen[other] < waiting[other]:
                    assert has[space] <= has[other] + 1, f"{other} waits, and {space} has more"


class TestJitter:
    def test_a_run_begins_a_little_later_and_says_when(self) -> None:
        team = a_team(jitter="10m").report(0.7).settle()
        assert (team.runs, team.made) == ([(1, "Pending")], [])
        assert "not all at once (retraining.jitter)" in team.message
        assert team.plan.requeue_after is not None
        assert 0 < team.plan.requeue_after <= 600
        team.after(minutes=10)
        assert team.settle().runs == [(1, "Training")]

    def test_a_clock_that_is_set_back_makes_nobody_wait_for_longer(self) -> None:
        team = a_team(jitter="1m").report(0.7)
        team.decide()
        assert team.after(hours=-1).settle().runs == [(1, "Training")]

    def test_a_request_by_hand_begins_at_once(self) -> None:
        assert a_team(jitter="10m").request("now").settle().runs == [(1, "Training")]


STORM: Body = {"policies": 4, "within": "10m", "hold": "1h", "receivers": ["oncall"]}


def in_trouble(team: Team, count: int, since: timedelta, prefix: str = "p") -> None:
    """So many others whose limit is crossed since so long."""
    for number in range(count):
        rows = [{"name": "accuracy", "state": "Crossed", "crossedSince": format_time(team.now - since)}]
        beside(team, "other", f"{prefix}{number}", triggers=rows)


class TestStorm:
    def test_trouble_of_many_at_once_starts_nothing_and_is_told_once(self) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 3, timedelta(seconds=-5))
        team.settle()
        assert team.runs == []
        assert team.skipped == [("accuracy", "Storm")]
        ends = format_time(NOW + timedelta(hours=1, seconds=45))
        words = "the limits of 4 policies were crossed within 10m: held as one outage until"
        assert f"{words} {ends}, unless it recovers (retraining.storm)" in team.message
        (notice,) = team.plan.questions
        assert isinstance(notice, Notice)
        assert (notice.receiver, notice.reason) == ("oncall", "RetrainStorm")
        assert "the limits of 4 policies were crossed within 10m" in notice.summary
        assert team.after(minutes=3).settle().plan.questions[0].id == notice.id  # type: ignore[union-attr]
        team.world.answered = {team.plan.questions[0]: Answer(error="HTTP 503")}
        assert conditions(team.settle().status)["Notified"] == ("False", "ReceiverUnavailable")

    def test_only_the_first_of_them_tells(self) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 3, timedelta(seconds=5))
        team.settle()
        assert (team.skipped, list(team.plan.questions)) == ([("accuracy", "Storm")], [])

    @pytest.mark.parametrize("others", [2, 9])
    def test_with_fewer_or_long_ago_it_is_no_storm(self, others: int) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, others, timedelta(minutes=1 if others == 2 else 11))
        beside(team, "other", "well")
        team.settle()
        assert team.runs == []
        assert "to see whether many have the same trouble" in team.message
        team.after(seconds=46).settle()
        assert team.runs == [(1, "Training")]
        assert team.skipped == [], "that it waited a little is no cause that started nothing"

    def test_where_there_are_few_policies_nobody_waits(self) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 2, timedelta(seconds=1))
        assert team.settle().runs == [(1, "Training")]

    def test_it_ends_with_the_trouble_of_the_others_or_with_time(self) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 3, timedelta(seconds=5))
        team.settle().after(minutes=59).report(0.7).settle()
        assert team.runs == []
        assert team.after(minutes=2).settle().runs == [(1, "Training")]
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 3, timedelta(seconds=5))
        team.settle().after(minutes=5)
        for number in range(3):
            beside(team, "other", f"p{number}")
        assert team.settle().runs == [(1, "Training")]

    def test_a_request_by_hand_is_not_held(self) -> None:
        team = a_team(storm=STORM).report(0.7)
        in_trouble(team, 9, timedelta(seconds=5))
        assert team.request("now").settle().runs == [(1, "Training")]

    def test_a_receiver_that_there_is_not_is_found_at_the_start(self) -> None:
        with pytest.raises(ValueError, match=r"retraining\.storm\.receivers: there is no receiver 'nobody'"):
            Config.model_validate({"retraining": {"storm": STORM | {"receivers": ["nobody"]}}})
