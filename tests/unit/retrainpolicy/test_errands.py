"""Triggers that a Job looks at: data, and metrics that an evaluator measures."""

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.meta import LABEL_CHECK, LABEL_OWNED, LABEL_RETRAINPOLICY
from perennial.api.resources import JOBS, RETRAINPOLICIES
from perennial.api.task import Failure, Looked
from perennial.plan import Body
from perennial.view import Refusal
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy, promote

URI = "s3://acme/churn/"
EVALUATOR: Body = {
    "template": {"spec": {"containers": [{"name": "score", "image": "acme/score:1"}]}},
    "every": "1h",
}


def data(**fields: Any) -> Body:
    return {"name": "new-data", "data": {"uri": URI, "every": "1h", **fields}}


def metric(**fields: Any) -> Body:
    return {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "source": {"job": EVALUATOR}, **fields}}


def a_team(trigger: Body, **spec: Any) -> Team:
    """The first look is under way."""
    return Team(a_policy(trigger, **spec)).settle()


def seen(objects: int, size: int = 0, content: str = "") -> str:
    """What the agent leaves."""
    digest = "sha256:" + f"{objects}{size}{content}".encode().hex().rjust(64, "0")[:64]
    return Looked(objects=objects, bytes=size or objects * 100, digest=digest).to_json()


def saw(team: Team, *looks: str) -> Team:
    """These looks, each in its turn."""
    for message in looks:
        number = len(team.sent)
        due = team.trigger(team.policy["spec"]["triggers"][0]["name"])["nextLookTime"]
        while len(team.sent) == number and team.sent and "status" in (job(team) or {}):
            team.after(minutes=10).settle()
            assert team.now < NOW + timedelta(days=30), f"nobody looks at {due}"
        team.looked(message).after(seconds=5).settle()
    return team


def job(team: Team) -> Body:
    found = team.world.get(JOBS, "team", team.sent[-1])
    assert found is not None
    return found


def row(team: Team) -> Body:
    (found,) = team.status["triggers"]
    return dict(found)


class TestTurns:
    def test_the_time_of_a_look_is_written_down_before_its_job_is_made(self) -> None:
        team = Team(a_policy(data()))
        assert not team.decide().actions
        assert row(team)["nextLookTime"] == format_time(NOW)
        assert len(team.decide().actions) == 1
        assert len(team.settle().sent) == 1, "and it is waited for"

    def test_whenever_the_operator_dies_there_is_one_job_for_a_look(self) -> None:
        team = Team(a_policy(data()))
        team.decide()
        team.decide(status_lost=True)
        team.settle()
        assert len(team.sent) == 1
        team.looked(seen(3)).decide(status_lost=True)
        assert row(team.settle())["data"]["objects"] == 3
        assert len(team.sent) == 1

    def test_the_next_comes_in_its_turn_and_not_before(self) -> None:
        team = saw(a_team(data()), seen(3))
        due = row(team)["nextLookTime"]
        assert format_time(NOW) < due <= format_time(NOW + timedelta(hours=1, seconds=5))
        times = [len(team.after(minutes=10).settle().sent) for _ in range(7)]
        assert times[0] == 1 or due < format_time(NOW + timedelta(minutes=11))
        assert times[-1] == 2

    def test_a_look_that_takes_long_is_the_only_one(self) -> None:
        team = a_team(data(every="1m"))
        for _ in range(10):
            team.after(minutes=3).settle()
        assert len(team.sent) == 1

    def test_while_it_is_suspended_nobody_is_sent(self) -> None:
        team = a_team(data(), suspend=True)
        assert not team.sent
        assert len(team.edit(suspend=False).settle().sent) == 1

    def test_another_rule_begins_anew(self) -> None:
        team = saw(a_team(data()), seen(3))
        team.edit(triggers=[data(uri="s3://acme/other/")]).settle()
        assert len(team.sent) == 2
        assert "data" not in row(team)

    def test_one_that_the_cluster_refuses_is_told_of_and_asked_again(self) -> None:
        team = a_team(metric())
        team.world.remove(job(team))
        words = "spec.template.spec.containers[0].image: Required"
        team.world.refusals[RETRAINPOLICIES, "team", "churn"] = Refusal(JOBS, team.sent.pop(), "Invalid", words)
        team.decide()
        assert row(team)["state"] == "Unavailable"
        assert row(team)["message"].endswith("refused: spec.template.spec.containers[0].image: Required")
        (ready,) = [one for one in team.status["conditions"] if one["type"] == "Ready"]
        assert ready["reason"] == "SourceUnavailable"


class TestData:
    def test_the_first_look_is_what_the_next_are_compared_with(self) -> None:
        team = saw(a_team(data()), seen(3))
        assert row(team)["state"] == "Ok"
        assert row(team)["knownData"] == row(team)["data"]
        assert team.message == "new-data has not changed"
        assert not team.runs

    def test_a_change_starts_one_run_and_is_known_from_then_on(self) -> None:
        team = saw(a_team(data()), seen(3), seen(4))
        assert team.runs == [(1, "Training")]
        cause = team.status["runs"][0]["cause"]
        assert (cause["type"], cause["trigger"], cause["data"]["objects"]) == ("Data", "new-data", 4)
        assert "+1 objects and +100 bytes since" in cause["message"]
        assert row(team)["knownData"]["objects"] == 4
        team.succeeds().promotes()
        saw(team.settle(), seen(4))
        assert len(team.runs) == 1
        assert row(team)["state"] == "Ok"

    @pytest.mark.parametrize(
        ("fields", "later", "starts"),
        [
            ({}, seen(3, 300, "other"), True),
            ({}, seen(3), False),
            ({}, seen(2), True),
            ({"minNewObjects": 2}, seen(4), False),
            ({"minNewObjects": 2}, seen(5), True),
            ({"minNewObjects": 2}, seen(0), False),
            ({"minNewBytes": "1Ki"}, seen(4, 300 + 1023), False),
            ({"minNewBytes": "1Ki"}, seen(4, 300 + 1024), True),
            ({"minNewBytes": "1Ki", "minNewObjects": 2}, seen(5, 310), True),
        ],
    )
    def test_what_counts_as_new(self, fields: Body, later: str, starts: bool) -> None:
        assert bool(saw(a_team(data(**fields)), seen(3), later).runs) is starts

    def test_little_by_little_it_is_enough(self) -> None:
        team = saw(a_team(data(minNewObjects=3)), seen(3), seen(4), seen(5))
        assert not team.runs
        assert "+2 objects" in row(team)["message"]
        assert saw(team, seen(6)).runs == [(1, "Training")]

    def test_a_change_is_held_and_not_forgotten(self) -> None:
        team = saw(a_team(data(), budget={"runs": 1, "per": "10h"}), seen(3), seen(4))
        team.succeeds().promotes()
        saw(team.settle(), seen(5))
        assert row(team)["state"] == "Held"
        assert team.skipped == [("new-data", "BudgetSpent")]
        saw(team, *[seen(5)] * 10)
        assert team.runs[0] == (2, "Training")
        assert not team.skipped

    def test_without_an_answer_nothing_is_known(self) -> None:
        team = saw(a_team(data()), seen(3))
        team.after(hours=1, minutes=1).settle()
        words = Failure(reason="AccessDenied", message="cannot read s3://acme/churn/: access denied").to_json()
        team.looked(words, 1).settle()
        assert row(team)["state"] == "Unavailable"
        assert row(team)["message"] == f"{URI} cannot be looked at: cannot read s3://acme/churn/: access denied"
        saw(team, seen(4))
        assert team.runs, "what was known before still is"

    def test_an_edit_is_looked_at_whatever_became_of_the_look_before(self) -> None:
        team = a_team(data())
        team.looked(Failure(reason="AccessDenied", message="access denied").to_json(), 1).settle()
        assert row(team)["state"] == "Unavailable"
        team.edit(triggers=[data(uri="s3://acme/other/")]).settle()
        assert (row(team)["state"], row(team)["rule"]) == ("Waiting", "s3://acme/other/, every 1h")
        assert len(team.sent) == 2

    def test_a_reference_of_git(self) -> None:
        team = a_team({"name": "new-data", "data": {"uri": "git+https://acme.dev/data@main"}})

        def at(commit: str) -> str:
            return Looked(objects=1, bytes=0, digest=f"sha256:{commit * 64}", revision=commit * 40).to_json()

        saw(team, at("a"), at("b"))
        assert team.status["runs"][0]["cause"]["message"].endswith("@main moved from aaaaaaaaaaaa to bbbbbbbbbbbb")

    def test_its_job_has_the_namespaces_own_credentials(self) -> None:
        team = a_team(data(uri="pvc://data/raw", storage={"secretName": "acme-s3"}))
        found = job(team)
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("RetrainPolicy", "uid-policy", True)
        pod = found["spec"]["template"]
        assert pod["metadata"]["labels"] == {LABEL_OWNED: "true", LABEL_RETRAINPOLICY: "churn", LABEL_CHECK: "churn"}
        (container,) = pod["spec"]["containers"]
        assert container["args"] == ["look"]
        assert container["envFrom"] == [{"secretRef": {"name": "acme-s3"}}]
        assert json.loads(container["env"][0]["value"]) == {"uri": "pvc://data/raw"}
        assert container["volumeMounts"][0] | {"name": ""} == {
            "name": "", "mountPath": "/perennial-volumes/data", "readOnly": True,
        }  # fmt: skip

    @given(st.lists(st.integers(0, 6), min_size=1, max_size=8))
    def test_a_run_for_every_change_that_no_run_saw(self, counts: list[int]) -> None:
        team = saw(a_team(data(), concurrencyPolicy="Allow"), *map(seen, counts))
        changes = sum(before != after for before, after in itertools.pairwise(counts))
        assert len(team.runs) == changes


class TestEvaluator:
    def test_it_measures_what_is_served(self) -> None:
        team = a_team(metric())
        env = {one["name"]: one["value"] for one in job(team)["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env == {
            "PERENNIAL_DEPLOYMENT": "churn",
            "PERENNIAL_NAMESPACE": "team",
            "PERENNIAL_REVISION": "churn-r1",
            "PERENNIAL_MODEL_VERSION": "1",
            "PERENNIAL_MODEL_URI": "s3://acme/models/churn/x",
            "PERENNIAL_METRIC": "accuracy",
            "PERENNIAL_SINCE": format_time(NOW - timedelta(hours=6)),
            "PERENNIAL_URL": "http://churn.team.svc",
        }

    def test_a_value_beyond_the_limit_starts_a_run(self) -> None:
        team = saw(a_team(metric()), '{"value": 0.95, "count": 200}')
        assert (row(team)["state"], row(team)["value"], row(team)["samples"]) == ("Ok", 0.95, 200)
        assert "200 samples by a Job at 2026-11-20T12:00:05Z" in row(team)["message"]
        saw(team, '{"value": 0.8, "count": 200}')
        assert team.runs == [(1, "Training")]
        cause = team.status["runs"][0]["cause"]
        assert (cause["value"], cause["limit"], cause["samples"]) == (0.8, 0.9, 200)
        assert row(team)["state"] == "Firing"

    def test_the_value_stands_until_the_next_look(self) -> None:
        team = saw(a_team(metric(**{"for": "30m"})), '{"value": 0.8}')
        assert row(team)["state"] == "Crossed"
        team.after(minutes=29).settle()
        assert not team.runs
        assert team.after(minutes=2).settle().runs == [(1, "Training")]

    def test_what_another_model_showed_does_not_count(self) -> None:
        team = saw(a_team(metric(**{"for": "2h"})), '{"value": 0.8}')
        promote(team.deployment, 2, team.now)
        team.settle()
        assert row(team)["state"] == "Waiting"
        assert len(team.sent) == 2, "it is measured at once"
        team.after(hours=3).settle()
        assert not team.runs
        assert row(team.looked('{"value": 0.8}').settle())["state"] == "Crossed"

    def test_a_measurement_that_a_promotion_overtook_does_not_count(self) -> None:
        team = a_team(metric())
        promote(team.deployment, 2, team.now)
        team.looked('{"value": 0.8}').settle()
        assert not team.runs
        assert len(team.sent) == 2
        assert row(team)["lookRevision"] == "churn-r2"

    def test_what_it_showed_before_it_was_replaced_for_a_while_is_old(self) -> None:
        team = saw(a_team(metric(**{"for": "2h"})), '{"value": 0.8}')
        promote(team.deployment, 1, team.now + timedelta(minutes=1))
        team.after(minutes=2).settle()
        assert row(team)["state"] == "Waiting"

    def test_in_the_second_of_a_promotion_it_counts(self) -> None:
        team = Team(a_policy(metric()))
        promote(team.deployment, 2, NOW)
        team.settle().looked('{"value": 0.8}').settle()
        assert team.runs == [(1, "Training")]

    def test_while_a_rollout_shares_the_requests_nothing_is_measured(self) -> None:
        team = Team(a_policy(metric()))
        team.deployment["status"]["rollout"] = {
            "revision": "churn-r2",
            "startTime": format_time(NOW),
            "progressTime": format_time(NOW),
        }
        team.settle()
        assert not team.sent
        assert row(team)["message"] == "is measured once the rollout under way has ended"
        del team.deployment["status"]["rollout"]
        assert len(team.settle().sent) == 1

    @pytest.mark.parametrize(
        ("message", "code", "state", "words"),
        [
            ("ready", 0, "Unavailable", "left no sample in its termination message: Invalid JSON"),
            ('{"value": null}', 0, "Waiting", "0 of at least 1 samples"),
            ("Traceback", 1, "Unavailable", "ended with exit code 1: Traceback"),
        ],
    )
    def test_without_a_sample_nothing_is_decided(self, message: str, code: int, state: str, words: str) -> None:
        team = a_team(metric())
        team.looked(message, code).settle()
        assert row(team)["state"] == state
        assert words in row(team)["message"]
        assert not team.runs
        assert row(team)["nextLookTime"] > format_time(NOW)

    def test_too_few_samples(self) -> None:
        team = saw(a_team(metric(minSamples=100)), '{"value": 0.5, "count": 99}')
        assert row(team)["state"] == "Waiting"
        assert not team.after(minutes=5).settle().runs
