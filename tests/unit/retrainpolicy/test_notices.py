"""Who is told of a run: once it is on record, again until they have heard it, and of nothing else."""

from datetime import timedelta

import pytest

from perennial.config import Config
from perennial.plan import Body, Plan
from perennial.questions import Answer, Notice
from tests.unit.retrainpolicy.builders import HOURLY, NOW, Team, a_policy

RECEIVERS = Config.model_validate({"receivers": {name: {"form": "Slack", "url": "http://x"} for name in ("a", "b")}})
ALL = ["Started", "AwaitingApproval", "Promoted", "Rejected", "RolledBack", "Superseded", "Failed", "Replaced"]


def team(*notify: Body, **spec: Body) -> Team:
    made = Team(a_policy(notify=list(notify), **spec))
    made.config = RECEIVERS
    return made


def notices(plan: Plan) -> list[Notice]:
    return [one for one in plan.questions if isinstance(one, Notice)]


def hears(team: Team, error: str = "") -> list[Notice]:
    """What is to be told now, and that it was told, or why not."""
    asked = notices(team.settle().plan)
    team.world.answered = {one: Answer(error=error) for one in asked}
    team.settle()
    return asked


def notified(team: Team) -> tuple[str, str] | None:
    found = [one for one in team.status["conditions"] if one["type"] == "Notified"]
    return (found[0]["reason"], found[0]["message"]) if found else None


def test_the_way_of_a_run_is_told_to_those_who_asked() -> None:
    one = team({"receiver": "a", "events": ALL}, {"receiver": "b", "events": ["Rejected"]})
    one.request("now")
    (started,) = hears(one)
    assert (started.receiver, started.reason, started.severity, started.resolves) == ("a", "RunStarted", "info", False)
    assert started.summary.startswith("run 1 of team/churn has started: ")
    assert started.time == NOW
    assert dict(started.details)["trainingJob"] == "churn-1"
    one.after(minutes=10).succeeds()
    assert hears(one) == []
    one.promotes()
    (promoted,) = hears(one)
    assert (promoted.reason, promoted.resolves, promoted.time) == ("RunPromoted", True, NOW + timedelta(minutes=10))
    assert promoted.summary == "run 1 of team/churn is promoted: churn-2 is served by churn"
    assert dict(promoted.details)["modelVersion"] == "churn-2"
    assert started.id != promoted.id
    assert all("pendingNotices" not in run for run in one.status["runs"])
    writes = one.writes
    one.after(hours=1).settle()
    assert (notices(one.plan), one.writes) == ([], writes)


@pytest.mark.parametrize(("state", "reason"), [("Rejected", "RunRejected"), ("Vetoed", "RunRolledBack")])
def test_bad_news_is_told_to_both(state: str, reason: str) -> None:
    one = team({"receiver": "a", "events": ALL[1:]}, {"receiver": "b", "events": ["Rejected", "RolledBack"]})
    one.request("now").settle()
    one.succeeds().settle()
    one.says(state, "it is worse")
    found = hears(one)
    assert {(one.receiver, one.reason, one.severity) for one in found} == {
        ("a", reason, "warning"), ("b", reason, "warning"),
    }  # fmt: skip
    assert found[0].id == found[1].id, "the same event"


def test_a_person_is_told_that_he_is_waited_for_once() -> None:
    one = team({"receiver": "a", "events": ["AwaitingApproval", "Promoted"]})
    one.request("now").settle()
    one.after(days=2).succeeds().settle()
    how = "set spec.approval: Approved on its ModelVersion churn-2"
    one.waits("NotApproved", how)
    (asked,) = hears(one)
    assert (asked.reason, asked.summary) == (
        "RunAwaitingApproval", f"run 1 of team/churn awaits approval: churn-2: {how}",
    )  # fmt: skip
    assert one.runs == [(1, "AwaitingApproval")]
    one.waits("NotApproved", "other words")
    assert hears(one) == []
    assert one.told.count("RunAwaitsApproval") == 1
    one.promotes()
    assert [notice.reason for notice in hears(one)] == ["RunPromoted"]


def test_nothing_is_told_before_it_is_on_record() -> None:
    one = team({"receiver": "a", "events": ALL})
    one.request("now")
    plan = one.decide()
    assert plan.status is not None
    assert plan.status["runs"][0]["pendingNotices"] == [
        {"receiver": "a", "event": "Started", "time": "2026-11-20T12:00:00Z"}
    ]
    assert notices(plan) == []
    assert len(notices(one.decide())) == 1


def test_it_is_tried_again_each_minute_and_said_while_it_fails() -> None:
    one = team({"receiver": "a", "events": ["Started"]})
    one.request("now")
    (first,) = hears(one, "HTTP 503: busy")
    assert notified(one) == ("ReceiverUnavailable", "receiver a: HTTP 503: busy")
    assert one.plan.requeue_after is not None
    assert notices(one.plan) == [first], "nobody is asked before the minute is over"
    one.after(seconds=one.plan.requeue_after)
    one.world.answered = {}
    again = one.settle().plan
    assert notified(one) == ("ReceiverUnavailable", "receiver a: HTTP 503: busy"), "until the next answer"
    (second,) = notices(again)
    assert (second.id, second.at > first.at) == (first.id, True)
    one.world.answered = {second: Answer()}
    one.settle()
    assert notified(one) is None
    assert notices(one.plan) == []


def test_after_a_day_nobody_wants_to_know() -> None:
    one = team({"receiver": "a", "events": ["Started"]})
    one.request("now")
    hears(one, "down")
    one.after(hours=24, seconds=1).settle()
    assert notices(one.plan) == []
    assert notified(one) is None
    assert one.told[-1] == "NoticeDropped"


def test_a_receiver_that_is_not_there_is_said_at_once_and_told_when_it_is() -> None:
    one = team({"receiver": "c", "events": ALL})
    one.settle()
    words = "spec.notify: there is no receiver 'c' in the operator's configuration: a, b"
    assert notified(one) == ("ReceiverUnknown", words)
    one.request("now").settle()
    assert notices(one.plan) == []
    one.config = Config.model_validate({"receivers": {"c": {"form": "Slack", "url": "http://x"}}})
    assert [notice.receiver for notice in hears(one)] == ["c"]
    assert notified(one) is None


def test_who_is_added_or_taken_out_hears_of_what_comes() -> None:
    one = team()
    one.request("1").settle()
    one.fails().settle()
    one.edit(notify=[{"receiver": "a", "events": ALL}]).settle()
    assert notices(one.plan) == [], "of old runs nothing is told"
    one.after(hours=1).request("2").settle()
    assert len(notices(one.plan)) == 1
    one.edit(notify=[]).settle()
    assert notices(one.plan) == []
    assert "pendingNotices" not in one.status["runs"][0]


def test_a_dry_run_and_a_run_that_is_replaced() -> None:
    one = team({"receiver": "a", "events": ALL}, concurrencyPolicy="Replace", dryRun=True)  # type: ignore[arg-type]
    one.request("1")
    assert hears(one) == []
    one.edit(dryRun=False)
    one.request("2")
    hears(one)
    one.after(minutes=1).request("3")
    assert {notice.reason for notice in hears(one)} == {"RunStarted", "RunReplaced"}


def test_no_word_of_what_started_nothing() -> None:
    one = team({"receiver": "a", "events": ALL}, triggers=[HOURLY], suspend=True)  # type: ignore[arg-type]
    one.settle()
    one.after(hours=3).settle()
    assert one.runs == []
    assert notices(one.plan) == []
