"""What keeps a policy calm: triggers that are a cause only together, and times in which it is quiet."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import parse_duration
from perennial.api.resources import METRICSERIES
from perennial.api.retrainpolicy import QuietHours
from perennial.plan import Body
from perennial.retrainpolicy.quiet import quiet_until
from perennial.retrainpolicy.schedule import parse
from tests.unit.retrainpolicy.builders import ACCURACY, HOURLY, NOW, Team, a_policy
from tests.world import conditions

LATENCY: Body = {"name": "latency", "metric": {"name": "accuracy", "above": 0.2, "aggregate": "Min"}}


class TestAll:
    def test_a_run_starts_when_all_are_crossed_and_names_them(self) -> None:
        team = Team(a_policy(ACCURACY, LATENCY, when="All")).report(0.1).settle()
        assert team.runs == []
        assert team.trigger("accuracy")["state"] == "Held"
        assert "no run yet: waits for latency (Ok) (spec.when: All)" in team.message
        assert team.skipped == [("accuracy", "OthersNotYet")]
        team.world.remove(team.world.get(METRICSERIES, "team", "churn") or {})
        team.after(minutes=1).report(0.5).settle()
        assert team.runs == [(1, "Training")]
        cause = team.status["runs"][0]["cause"]
        assert "below 0.9" in cause["message"]
        assert "above 0.2" in cause["message"]
        assert [row["state"] for row in team.status["triggers"]] == ["Firing", "Firing"]
        assert team.skipped == []

    def test_one_run_deals_with_all_of_them(self) -> None:
        team = Team(a_policy(ACCURACY, LATENCY, when="All", cooldown="1h", concurrencyPolicy="Allow")).report(0.5)
        team.settle().after(minutes=5).report(0.5).settle()
        assert team.runs == [(1, "Training")]
        team.succeeds().promotes().settle()
        assert team.runs == [(1, "Promoted")]

    def test_a_tick_waits_for_the_metric_and_is_given_up_in_time(self) -> None:
        """At the full hour, if it is needed then: not later."""
        hourly = {"name": "hourly", "schedule": HOURLY["schedule"] | {"startingDeadlineSeconds": 600}}
        team = Team(a_policy(ACCURACY, hourly, when="All", created=NOW - timedelta(minutes=1))).report(0.95).settle()
        assert "waits for accuracy (Ok)" in team.trigger("hourly")["message"]
        team.after(minutes=11).settle()
        assert team.trigger("hourly")["state"] == "Scheduled"
        assert team.skipped == [("hourly", "OthersNotYet")], "why it was given up"
        team.world.remove(team.world.get(METRICSERIES, "team", "churn") or {})
        team.report(0.7).settle()
        assert team.runs == []
        assert "waits for hourly (Scheduled)" in team.trigger("accuracy")["message"]
        team.after(minutes=48).report(0.7).settle()
        assert team.runs == []
        assert team.after(minutes=1).settle().runs == [(1, "Training")]
        assert team.status["runs"][0]["cause"]["type"] == "Metric", "it says more than that it was time"
        assert "scheduled for" in team.status["runs"][0]["cause"]["message"]
        assert team.trigger("hourly")["state"] == "Scheduled"

    def test_what_holds_one_holds_all(self) -> None:
        team = Team(a_policy(ACCURACY, LATENCY, when="All", suspend=True)).report(0.5).settle()
        assert [row["state"] for row in team.status["triggers"]] == ["Held", "Held"]
        assert {reason for _, reason in team.skipped} == {"Suspended"}
        assert team.edit(suspend=False).settle().runs == [(1, "Training")]

    def test_a_request_by_hand_is_a_cause_of_its_own(self) -> None:
        team = Team(a_policy(ACCURACY, LATENCY, when="All")).request("1").settle()
        assert team.runs == [(1, "Training")]

    @pytest.mark.parametrize("value", [0.1, 0.5, 0.95])
    def test_with_one_trigger_it_is_the_same_as_any(self, value: float) -> None:
        every, any_ = (Team(a_policy(ACCURACY, when=when)).report(value).settle() for when in ("All", "Any"))
        assert every.status == any_.status


NIGHTS: Body = {"name": "nights", "cron": "0 22 * * *", "duration": "8h", "timeZone": "Etc/UTC"}


class TestQuietHours:
    def test_nothing_starts_in_them_but_by_hand(self) -> None:
        noon = {"name": "noon", "cron": "30 11 * * *", "duration": "2h"}
        team = Team(a_policy(ACCURACY, quietHours=[NIGHTS, noon])).report(0.7).settle()
        assert team.runs == []
        assert conditions(team.status)["Ready"] == ("True", "Held")
        assert "it is quiet until 2026-11-20T13:30:00Z (spec.quietHours[noon])" in team.message
        assert team.skipped == [("accuracy", "QuietHours")]
        assert team.plan.requeue_after is not None
        assert team.plan.requeue_after <= 5400
        assert team.request("now").settle().runs == [(1, "Training")]

    def test_what_still_stands_starts_when_they_end(self) -> None:
        noon = {"name": "noon", "cron": "30 11 * * *", "duration": "2h"}
        team = Team(a_policy(ACCURACY, quietHours=[noon])).report(0.7).settle()
        team.after(minutes=89).report(0.7).settle()
        assert team.runs == []
        assert team.after(minutes=1).settle().runs == [(1, "Training")]

    def test_one_that_cannot_be_read_stalls_the_policy_and_starts_nothing(self) -> None:
        wrong = {"name": "wrong", "cron": "0 25 * * *", "duration": "1h"}
        team = Team(a_policy(ACCURACY, quietHours=[wrong])).report(0.7).settle()
        assert team.runs == []
        assert conditions(team.status)["Stalled"] == ("True", "InvalidQuietHours")
        assert "spec.quietHours[wrong].cron" in team.message
        assert team.edit(quietHours=[NIGHTS]).settle().runs == [(1, "Training")]

    @pytest.mark.parametrize(
        ("now", "until"),
        [
            ("2026-11-20T21:59:59Z", None),
            ("2026-11-20T22:00:00Z", "2026-11-21T06:00:00Z"),
            ("2026-11-21T05:59:59Z", "2026-11-21T06:00:00Z"),
            ("2026-11-21T06:00:00Z", None),
        ],
    )
    def test_it_begins_with_its_time_and_ends_after_so_long(self, now: str, until: str | None) -> None:
        found = quiet_until([QuietHours.model_validate(NIGHTS)], datetime.fromisoformat(now))
        assert (found and found[1]) == (until and datetime.fromisoformat(until))

    def test_those_that_follow_on_each_other_are_one(self) -> None:
        late = {"name": "late", "cron": "0 6 * * *", "duration": "3h", "timeZone": "Etc/UTC"}
        every = [QuietHours.model_validate(one) for one in (NIGHTS, late)]
        found = quiet_until(every, datetime(2026, 11, 20, 23, tzinfo=UTC))
        assert found == ("late", datetime(2026, 11, 21, 9, tzinfo=UTC))

    def test_one_without_an_end_is_looked_at_again(self) -> None:
        always = QuietHours.model_validate({"name": "always", "cron": "0 * * * *", "duration": "2h"})
        found = quiet_until([always], NOW)
        assert found
        assert NOW + timedelta(hours=2) <= found[1]

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["0 22 * * *", "*/17 3 * * *", "30 1 * * SUN", "15 2,15 * * *"]),
                st.sampled_from(["10m", "1h", "7h", "13h"]),
                st.sampled_from(["Etc/UTC", "Europe/Berlin", "America/New_York"]),
            ),
            min_size=1,
            max_size=3,
        ),
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    )
    def test_it_is_quiet_while_any_of_them_lasts_and_not_at_its_end(
        self, several: list[tuple[str, str, str]], moment: datetime
    ) -> None:
        now = moment.replace(microsecond=0, tzinfo=UTC)
        every = [
            QuietHours.model_validate({"name": f"q{index}", "cron": cron, "duration": length, "timeZone": zone})
            for index, (cron, length, zone) in enumerate(several)
        ]
        found = quiet_until(every, now)
        assert (found is not None) == _lies_in(every, now)
        if found and found[1] - now < timedelta(days=7):
            assert not _lies_in(every, found[1])
            assert _lies_in(every, found[1] - timedelta(seconds=1))


def _lies_in(every: list[QuietHours], moment: datetime) -> bool:
    def begins(hours: QuietHours) -> Any:
        length = parse_duration(hours.duration)
        return any(tick <= moment < tick + length for tick in _ticks(hours, moment - length, moment))

    return any(begins(hours) for hours in every)


def _ticks(hours: QuietHours, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    for tick in parse(hours).after(begin - timedelta(seconds=1)):
        if tick > end:
            break
        found.append(tick)
    return found
