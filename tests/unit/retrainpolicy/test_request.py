"""Runs that programs ask for."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy


def ask(team: Team, *ids: str, by: str = "system:serviceaccount:etl:airflow") -> Team:
    """As the ingest endpoint writes it."""
    requests = [{"id": id, "by": by, "time": format_time(team.now)} for id in ids]
    team.policy.setdefault("status", {}).setdefault("requests", []).extend(requests)
    return team


def runs(team: Team) -> list[Any]:
    return [one.get("run") for one in team.status["requests"]]


def test_an_event_starts_one_run() -> None:
    team = ask(Team(a_policy()).settle(), "loaded-17").settle()
    assert team.runs == [(1, "Training")]
    cause = team.status["runs"][0]["cause"]
    assert (cause["type"], cause["trigger"], cause["request"]) == ("Event", "request", "loaded-17")
    assert cause["message"] == "asked for by system:serviceaccount:etl:airflow (loaded-17)"
    assert runs(team) == [1]
    team.succeeds().promotes().settle()
    assert team.after(hours=1).settle().runs == [(1, "Promoted")]


def test_all_that_wait_have_one_run() -> None:
    team = ask(Team(a_policy()).settle(), "a").settle()
    ask(team, "b").settle()
    ask(team, "c").settle()
    assert team.skipped == [("request", "RunUnderWay")]
    assert runs(team) == [1, None, None]
    team.succeeds().promotes().settle()
    assert team.runs == [(2, "Training"), (1, "Promoted")]
    assert team.status["runs"][0]["cause"]["message"].endswith("(b, and 1 more)")
    assert runs(team) == [1, 2, 2]


def test_what_a_program_asks_for_keeps_to_the_limits() -> None:
    team = ask(Team(a_policy(cooldown="1h", unpromotedLimit=2)).settle(), "a").settle()
    ask(team.fails().settle(), "b").settle()
    assert team.trigger("request")["state"] == "Held"
    assert "spec.cooldown" in team.trigger("request")["message"]
    team.after(hours=2).settle().fails().settle()
    ask(team.after(hours=2), "c").settle()
    assert len(team.runs) == 2, "only a person lifts unpromotedLimit"
    assert team.request("by hand").settle().runs[0] == (3, "Training")
    assert runs(team) == [1, 2, None]


def test_of_both_the_person_goes_first() -> None:
    team = ask(Team(a_policy(suspend=True)).request("now").settle(), "event").settle()
    assert [row["name"] for row in team.status["triggers"]] == ["request"]
    team.edit(suspend=False, concurrencyPolicy="Allow").settle()
    assert [run["cause"]["type"] for run in team.status["runs"]] == ["Event", "Request"]


def test_what_could_be_a_line_of_a_shell_is_no_part_of_the_words() -> None:
    team = ask(Team(a_policy()).settle(), "$(reboot)", by="x; reboot").settle()
    cause = team.status["runs"][0]["cause"]
    assert cause["request"] == "$(reboot)"
    assert "reboot" not in cause["message"]


@given(st.lists(st.lists(st.sampled_from(["ask", "ask", "crash", "wait"]), max_size=4), max_size=8))
def test_each_event_is_answered_once_and_none_is_forgotten(rounds: list[list[str]]) -> None:
    team, asked = Team(a_policy()).settle(), 0
    for moves in rounds:
        for move in moves:
            if move == "ask" and asked < 20:
                asked += 1
                ask(team, f"event-{asked}")
            elif move == "crash":
                team.decide(status_lost=True)
            else:
                team.after(minutes=1).decide()
        team.settle()
        if team.runs and team.runs[0][1] == "Training":
            team.succeeds().promotes().settle()
    while team.runs and team.runs[0][1] == "Training":
        team.succeeds().promotes().settle()
    assert len(runs(team) if asked else []) == asked
    assert all(runs(team) if asked else [])
    assert sorted({*runs(team)} if asked else set()) == list(range(1, len(team.runs) + 1))
    assert team.now >= NOW
