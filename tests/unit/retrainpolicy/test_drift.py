"""Drift triggers: what is compared with what, and what follows from it."""

import itertools
import json
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.base import format_time
from perennial.api.resources import JOBS, MODELVERSIONS
from perennial.api.task import Drifted, DriftedColumn, Failure
from perennial.plan import Body
from tests.unit.retrainpolicy.builders import NOW, Team, a_deployment, a_policy, a_version, promote
from tests.unit.retrainpolicy.test_errands import job, row, saw

TRAIN: Body = {"name": "train", "uri": "s3://acme/train.parquet", "digest": "sha256:" + "b" * 64}


def drift(**fields: Any) -> Body:
    plain = {"reference": {"input": "train"}, "current": {"uri": "s3://acme/requests/"}, "every": "1h"}
    return {"name": "moved", "drift": plain | fields}


def a_team(trigger: Body, **spec: Any) -> Team:
    """The first look is under way, at a model with a record of what it was trained on."""
    team = Team(a_policy(trigger, **spec), a_deployment())
    team.world.add(trained_on(1, [TRAIN]))
    return team.settle()


def trained_on(version: int, inputs: list[Body]) -> Body:
    body = a_version(version, 0, "first")
    body["spec"].pop("retrain")
    return body | {"spec": body["spec"] | {"inputs": inputs}}


def seen(drifted: int, rows: int = 500, score: float = 0.31) -> str:
    """What the agent leaves."""
    farthest = (DriftedColumn(name="age", score=score), DriftedColumn(name="plan", score=0.01))
    report = "s3://acme/reports/report.html"
    found = Drifted(rows=rows, reference_rows=9000, columns=14, drifted=drifted, farthest=farthest, report=report)
    return found.to_json()


class TestJob:
    def test_it_compares_with_what_the_served_version_was_trained_on(self) -> None:
        team = a_team(drift(columns=["age", "plan"], report="s3://acme/reports/", storage={"secretName": "acme-s3"}))
        (container,) = job(team)["spec"]["template"]["spec"]["containers"]
        assert (container["image"], container["args"]) == ("perennial/drift:0.1.0", ["drift"])
        assert container["envFrom"] == [{"secretRef": {"name": "acme-s3"}}]
        assert json.loads(container["env"][0]["value"]) == {
            "reference": {"name": "reference", "uri": TRAIN["uri"], "digest": TRAIN["digest"]},
            "current": {"name": "current", "uri": "s3://acme/requests/"},
            "columns": ["age", "plan"],
            "method": "PSI",
            "limit": 0.2,
            "minRows": 200,
            "report": "s3://acme/reports/team/churn/drift/churn/moved",
            "title": "Drift of team/churn: moved",
        }

    @pytest.mark.parametrize(
        ("fields", "limit"),
        [
            ({"method": "PSI", "above": 0.3}, 0.3),
            ({"method": "Wasserstein"}, 0.1),
            ({"method": "KolmogorovSmirnov"}, 0.01),
            ({"method": "ChiSquared", "significance": 0.001}, 0.001),
        ],
    )
    def test_limits(self, fields: Body, limit: float) -> None:
        (container,) = job(a_team(drift(**fields)))["spec"]["template"]["spec"]["containers"]
        assert json.loads(container["env"][0]["value"])["limit"] == limit

    def test_claims_are_mounted_to_be_read_but_where_the_report_goes(self) -> None:
        uris = {"reference": {"uri": "pvc://train/a.csv"}, "current": {"uri": "pvc://now/b"}, "report": "pvc://now/r"}
        (container,) = job(a_team(drift(**uris)))["spec"]["template"]["spec"]["containers"]
        mounts = {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}
        assert mounts == {"/perennial-volumes/now": False, "/perennial-volumes/train": True, "/tmp": False}

    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ([], "churn-1 was trained on no input train: it has none"),
            ([TRAIN | {"name": "other"}], "churn-1 was trained on no input train: it has other"),
        ],
    )
    def test_without_a_reference_nothing_is_looked_at(self, inputs: list[Body], words: str) -> None:
        team = Team(a_policy(drift()))
        team.world.add(trained_on(1, inputs))
        team.settle()
        assert not team.sent
        assert row(team)["state"] == "Unavailable"
        assert words in row(team)["message"]

    def test_what_is_served_without_a_record(self) -> None:
        team = Team(a_policy(drift())).settle()
        assert row(team)["message"].endswith("give drift.reference.uri")
        team.edit(triggers=[drift(reference={"uri": "s3://acme/train.csv"})]).settle()
        assert len(team.sent) == 1


class TestRequests:
    LOG: ClassVar[Body] = {"uri": "pvc://logs/churn/", "storage": {"secretName": "acme-logs"}}

    def a_team(self, *, log: Body | None, **fields: Any) -> Team:
        team = Team(a_policy(drift(current={"requests": {"within": "6h"}}, **fields)), a_deployment())
        team.deployment["spec"] |= {"requestLog": log} if log else {}
        team.world.add(trained_on(1, [TRAIN]))
        return team.settle()

    def test_what_the_deployment_was_asked_of_late(self) -> None:
        (container,) = job(self.a_team(log=self.LOG))["spec"]["template"]["spec"]["containers"]
        task = json.loads(container["env"][0]["value"])
        assert (task["current"]["uri"], task["withinSeconds"]) == ("pvc://logs/churn/team/churn", 6 * 3600)
        assert container["envFrom"] == [{"secretRef": {"name": "acme-logs"}}]
        assert "/perennial-volumes/logs" in [one["mountPath"] for one in container["volumeMounts"]]

    def test_credentials_of_its_own(self) -> None:
        team = self.a_team(log=self.LOG, storage={"secretName": "acme-all"})
        (container,) = job(team)["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "acme-all"}}]

    def test_without_a_log_nothing_is_looked_at_until_there_is_one(self) -> None:
        team = self.a_team(log=None)
        assert not team.sent
        assert row(team)["state"] == "Unavailable"
        assert row(team)["message"].endswith("give it spec.requestLog")
        team.deployment["spec"]["requestLog"] = self.LOG
        assert len(team.settle().sent) == 1


class TestWhatFollows:
    def test_a_column_that_drifted_starts_a_run(self) -> None:
        team = saw(a_team(drift()), seen(0))
        assert (row(team)["state"], row(team)["value"], row(team)["samples"]) == ("Ok", 0, 500)
        saw(team, seen(1))
        assert team.runs == [(1, "Training")]
        cause = team.status["runs"][0]["cause"]
        assert (cause["type"], cause["value"], cause["limit"], cause["samples"]) == ("Drift", 1, 1, 500)
        assert cause["revision"] == "churn-r1"
        assert cause["drift"]["farthest"] == [{"name": "age", "score": 0.31}, {"name": "plan", "score": 0.01}]
        assert cause["drift"]["report"] == "s3://acme/reports/report.html"
        assert cause["message"] == "1 of 14 columns drifted (PSI above 0.2); farthest: age 0.31, plan 0.01"
        assert row(team)["state"] == "Firing"

    @pytest.mark.parametrize(
        ("fields", "looks", "starts"),
        [
            ({"atLeast": 3}, [seen(2)], False),
            ({"atLeast": 3}, [seen(3)], True),
            ({"minSamples": 501}, [seen(3)], False),
            ({"minSamples": 500}, [seen(3)], True),
            ({"for": "90m"}, [seen(3)], False),
            ({"for": "90m"}, [seen(3), seen(3), seen(3)], True),
            ({"for": "90m"}, [seen(3), seen(0), seen(3)], False),
        ],
    )
    def test_rules(self, fields: Body, looks: list[str], starts: bool) -> None:
        assert bool(saw(a_team(drift(**fields)), *looks).runs) is starts

    def test_a_new_model_has_a_reference_of_its_own(self) -> None:
        team = saw(a_team(drift(**{"for": "30m"})), seen(3))
        assert row(team)["state"] == "Crossed"
        team.world.add(trained_on(2, [TRAIN | {"uri": "s3://acme/train-2.parquet"}]))
        promote(team.deployment, 2, team.now)
        team.settle()
        assert (row(team)["state"], "drift" in row(team)) == ("Waiting", False)
        assert len(team.sent) == 2, "it is compared at once"
        assert "train-2.parquet" in json.dumps(job(team))
        team.after(hours=3).settle()
        assert not team.runs

    def test_what_cannot_be_read_is_no_drift(self) -> None:
        team = saw(a_team(drift()), seen(0))
        team.after(hours=1, minutes=1).settle()
        team.looked(Failure(reason="AccessDenied", message="cannot read s3://acme/requests").to_json(), 1).settle()
        assert (row(team)["state"], row(team)["message"]) == (
            "Unavailable",
            "cannot be compared: cannot read s3://acme/requests",
        )
        saw(team, seen(1))
        assert team.runs

    def test_while_it_lasts_runs_that_change_nothing_come_ever_more_seldom(self) -> None:
        team = saw(a_team(drift(), unpromotedLimit=1000), seen(2))
        for _ in range(40):
            if team.made and team.status["active"]:
                team.fails()
            team.after(minutes=10).settle()
        assert 3 <= len(team.runs) <= 12

    @given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    def test_one_run_for_each_time_that_it_drifts(self, looks: list[int]) -> None:
        team = saw(a_team(drift(), dryRun=True), *map(seen, looks))
        times = sum(now > 0 and not before for before, now in itertools.pairwise([0, *looks]))
        assert len(team.runs) == times

    def test_a_crash_between_answer_and_status_loses_nothing(self) -> None:
        team = a_team(drift())
        team.looked(seen(2)).decide(status_lost=True)
        assert team.settle().runs == [(1, "Training")]
        assert len(team.sent) == 1
        assert row(team)["crossedSince"] >= format_time(NOW - timedelta(seconds=1))


def test_the_job_is_gone_and_what_was_seen_stands() -> None:
    team = saw(a_team(drift()), seen(0))
    for one in list(team.world.list(JOBS, "team")):
        team.world.remove(one)
    team.settle()
    assert row(team)["drift"]["rows"] == 500
    assert team.world.get(MODELVERSIONS, "team", "churn-1")
