"""What people do with Perennial, each as a few lines that a proof plays under its own faults.

To add a workload is to add a function: it does what people do, and waits for what they would see.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from perennial.api.resources import (
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    JOBS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
)
from perennial.plan import Body
from tests.kubelets import STUCK, UNLOADABLE, fated
from tests.prove.lane import Lane
from tests.receiver import receiver

Workload = Callable[[Lane], None]
WORKLOADS: dict[str, Workload] = {}
ACCURACY = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 10}}
HELD = {"exit": -1}


def workload(play: Workload) -> Workload:
    """One of the workloads of the crash sweep, by its function's name."""
    WORKLOADS[play.__name__.replace("_", " ")] = play
    return play


@workload
def train_and_succeed(lane: Lane) -> None:
    lane.train("run")
    lane.phase("run", "Succeeded")


@workload
def train_on_a_claim_of_ours(lane: Lane) -> None:
    lane.train("run", output={})
    lane.phase("run", "Succeeded")


@workload
def train_fail_retry_fail(lane: Lane) -> None:
    lane.train("run", {"exit": 3, "seconds": 1.2}, {"exit": 4, "seconds": 1.2}, backoffLimit=1)
    lane.phase("run", "Failed")


@workload
def taken_by_the_node_and_trained_again(lane: Lane) -> None:
    lane.train("run", {"exit": -2, "seconds": 1.2}, {}, backoffLimit=0)
    lane.phase("run", "Succeeded")


@workload
def a_gang_that_fails_and_is_taken_and_ends_well(lane: Lane) -> None:
    fates = ({"exit": 3, "node": 1, "seconds": 1.2}, {"exit": -2, "node": 0, "seconds": 1.2}, {})
    lane.train("run", *fates, distribution={"framework": "torch", "nodes": 2}, backoffLimit=1)
    lane.phase("run", "Succeeded")


@workload
def suspend_and_resume(lane: Lane) -> None:
    lane.train("run", HELD, {})
    lane.phase("run", "Running")
    lane.space.edit("run", suspend=True)
    lane.phase("run", "Suspended")
    lane.space.edit("run", suspend=False)
    lane.phase("run", "Succeeded")


@workload
def past_its_deadline(lane: Lane) -> None:
    lane.train("run", HELD, activeDeadlineSeconds=2)
    lane.phase("run", "Failed")


@workload
def removed_when_its_time_has_come(lane: Lane) -> None:
    lane.train("run", ttlSecondsAfterFinished=1)
    lane.until("its version is there", lambda: lane.space.every(MODELVERSIONS))
    lane.until("it is removed", lambda: not lane.space.every(TRAININGJOBS))
    lane.until("its pod is gone", lambda: not lane.space.every(PODS))


@workload
def version_change(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.version(2)
    lane.serves(2)


@workload
def a_canary_step_by_step(lane: Lane) -> None:
    lane.version(1)
    steps = [{"pause": {"duration": "1s"}}, {"setWeight": 50}, {"pause": {}}]
    lane.deploy(strategy={"canary": {"steps": steps, "bakeTime": "1s"}}, replicas=2)
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: lane.rollout().get("step") == 2 and "stepTime" in lane.rollout())
    lane.says("skip-step", "1")
    lane.serves(2)


@workload
def a_canary_aborted_by_hand(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(strategy={"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: lane.rollout().get("step") == 1)
    lane.says("abort", "1")
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "Aborted")
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)


@workload
def a_canary_behind_a_gateway(lane: Lane) -> None:
    lane.version(1)
    steps = [
        {"setHeaderRoute": {"match": [{"headers": [{"name": "x", "value": "1"}]}]}},
        {"setWeight": 50},
        {"pause": {}},
    ]
    lane.deploy(strategy={"canary": {"steps": steps}}, replicas=2, route={"parentRefs": [{"name": "public"}]})
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: lane.rollout().get("step") == 2 and "stepTime" in lane.rollout())
    lane.says("skip-step", "1")
    lane.serves(2)
    # When nobody can ask the old pods any more.
    lane.until("nobody is sent to the preview", lambda: not _traffic(lane).get("previewWeight"))


@workload
def a_canary_with_an_autoscaler_of_its_own(lane: Lane) -> None:
    lane.version(1)
    route, steps = {"parentRefs": [{"name": "public"}]}, [{"setWeight": 50}, {"pause": {}}]
    lane.deploy(strategy={"canary": {"steps": steps}}, replicas=2, route=route, autoscaling={"maxReplicas": 3})
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: "stepTime" in lane.rollout())
    # As its autoscaler does when it has much to do.
    lane.space.patch(DEPLOYMENTS, lane.rollout()["revision"], {"spec": {"replicas": 3}})
    lane.says("skip-step", "1")
    lane.serves(2)
    lane.until("it is the only one", lambda: not lane.space.get(HORIZONTALPODAUTOSCALERS, "churn-preview"))
    lane.until("nobody is sent to the preview", lambda: not _traffic(lane).get("previewWeight"))


@workload
def an_ab_test_that_is_aborted(lane: Lane) -> None:
    lane.version(1)
    test = {"match": [{"cookie": {"name": "group", "value": "b"}}], "replicas": 1}
    lane.deploy(strategy={"abTest": test}, route={"parentRefs": [{"name": "public"}]})
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: "stepTime" in lane.rollout())
    lane.says("abort", "1")
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "Aborted")
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)


@workload
def an_ab_test_whose_share_grows(lane: Lane) -> None:
    def share(percent: int) -> Body:
        return {"abTest": {"hashedKey": {"header": "x-user", "percent": percent}, "replicas": 1}}

    lane.version(1)
    lane.deploy(strategy=share(10), route={"parentRefs": [{"name": "public"}]})
    lane.serves(1)
    lane.version(2)
    lane.until("it has its share", lambda: "stepTime" in lane.rollout() and _traffic(lane).get("actualWeight") == 10)
    lane.space.patch(MODELDEPLOYMENTS, "churn", {"spec": {"strategy": share(50)}})
    lane.until("it has more", lambda: "stepTime" in lane.rollout() and _traffic(lane).get("actualWeight") == 50)
    lane.says("skip-step", "1")
    lane.serves(2)
    lane.until("nobody is sent to the preview", lambda: not _traffic(lane).get("previewWeight"))


@workload
def a_shadow_that_takes_over(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(strategy={"shadow": {"percent": 50, "replicas": 1}}, route={"parentRefs": [{"name": "public"}]})
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: "stepTime" in lane.rollout())
    assert _traffic(lane)["previewMirrored"] == 50
    lane.says("skip-step", "1")
    lane.serves(2)
    lane.until("nothing is copied any more", lambda: not {"previewWeight", "previewMirrored"} & _asked(lane))


def _asked(lane: Lane) -> set[str]:
    """What the preview Service gets, by the names of the fields that say so."""
    return {name for name, value in _traffic(lane).items() if value}


def _traffic(lane: Lane) -> Body:
    found: Body = ((lane.space.get(MODELDEPLOYMENTS, "churn") or {}).get("status") or {}).get("traffic") or {}
    return found


@workload
def blue_green(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(strategy={"blueGreen": {"autoPromotionEnabled": False, "previewReplicas": 1}}, replicas=2)
    lane.serves(1)
    lane.version(2)
    lane.until("it waits for a person", lambda: "stepTime" in lane.rollout())
    lane.says("skip-step", "1")
    lane.serves(2)


@workload
def a_canary_that_is_worse(lane: Lane) -> None:
    lane.version(1)
    analysis = {"interval": "1s", "metrics": [{"name": "f1", "noWorseThanStableBy": 0.02}]}
    lane.deploy(strategy={"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": analysis}})
    lane.serves(1)
    lane.version(2)
    lane.until("it is looked at", lambda: "verdict" in (lane.rollout().get("analysis") or {}))
    lane.space.measured("churn", "f1", 0.9, count=5_000)
    lane.space.measured("churn", "f1", 0.5, count=500, revision=lane.rollout()["revision"])
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "RolloutFailed")
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)


@workload
def golden_requests_pass(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(golden={"uri": "s3://acme/golden.jsonl", "maxDifference": 0.5})
    lane.serves(1)
    lane.version(2)
    lane.serves(2)


@workload
def golden_requests_fail(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(golden={"uri": "s3://acme/golden.jsonl", "maxDifference": 0.1})
    lane.serves(1)
    lane.version(2)
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "RolloutFailed")
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)


def _evaluation(worse: float) -> Body:
    limit = {"name": "Accuracy", "noWorseThanChampionBy": worse}
    return {"evaluation": {"uri": "s3://acme/holdout.csv", "label": "churned", "metrics": [limit]}}


def _held_back(lane: Lane) -> list[tuple[int, str]]:
    status = (lane.space.get(MODELDEPLOYMENTS, "churn") or {}).get("status") or {}
    return [(one["version"], one["reason"]) for one in status.get("candidates") or () if one["state"] == "Rejected"]


@workload
def an_evaluation_passes(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(gate=_evaluation(0.02))
    lane.serves(1)
    lane.version(2)
    lane.serves(2)


@workload
def an_evaluation_fails_and_a_milder_one_passes(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(gate=_evaluation(0.005))
    lane.serves(1)
    lane.version(2)
    lane.until("it is held back", lambda: _held_back(lane) == [(2, "GateNotPassed")])
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)
    lane.space.patch(MODELDEPLOYMENTS, "churn", {"spec": {"gate": _evaluation(0.02)}})
    lane.serves(2)


@workload
def a_job_that_says_no(lane: Lane) -> None:
    lane.version(1)
    job = {
        "template": {"metadata": fated({"exit": 3}), "spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}}
    }
    analysis = {"interval": "2s", "metrics": [{"name": "smoke", "source": {"job": job}}]}
    lane.deploy(strategy={"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": analysis}})
    lane.serves(1)
    lane.version(2)
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "RolloutFailed")
    lane.until("it is gone", lambda: len(lane.space.every(DEPLOYMENTS)) == 1)


@workload
def what_stands_beside_the_pods_comes_and_goes(lane: Lane) -> None:
    lane.version(1)
    beside = {"disruption": {"maxUnavailable": 1}, "network": {"allowFrom": []}, "ingress": {"hosts": ["a.dev"]}}
    lane.deploy(autoscaling={"maxReplicas": 2}, **beside)
    lane.serves(1)
    lane.until("it is scaled", lambda: lane.space.get(HORIZONTALPODAUTOSCALERS, "churn"))
    edit = {"autoscaling": None, "disruption": {"maxUnavailable": None, "minAvailable": 1}}
    lane.space.patch(MODELDEPLOYMENTS, "churn", {"spec": edit})
    lane.until("it is scaled no more", lambda: not lane.space.get(HORIZONTALPODAUTOSCALERS, "churn"))


@workload
def failed_load(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.version(2, UNLOADABLE)
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "RolloutFailed")
    lane.until("it is scaled down", lambda: sum(one["spec"]["replicas"] for one in lane.space.every(DEPLOYMENTS)) == 1)


@workload
def scheduled_run(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    # One tick: the next would be one more cause, or none, by how long all this takes.
    soon = datetime.now(UTC) + timedelta(minutes=1, seconds=5)
    lane.policy("churn", {"name": "tick", "schedule": {"cron": f"{soon:%-M %-H} * * *"}})
    lane.until("the tick's run is there", lambda: lane.space.every(TRAININGJOBS), 150)
    lane.serves(2)
    yearly = {"name": "tick", "schedule": {"cron": "0 0 1 1 *"}}
    lane.space.patch(RETRAINPOLICIES, "churn", {"spec": {"triggers": [yearly]}})
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")


@workload
def metric_trigger(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.policy("churn", ACCURACY)
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")
    lane.space.measured("churn", "accuracy", 0.5)
    lane.serves(2)


@workload
def a_version_that_a_person_lets_in(lane: Lane) -> None:
    lane.version(1, metrics={"accuracy": 0.9})
    lane.deploy(gate={"metrics": [{"name": "accuracy", "min": 0.85}]})
    lane.serves(1)
    lane.version(2, metrics={"accuracy": 0.7})

    def rejected() -> bool:
        status = lane.space.there(MODELDEPLOYMENTS, "churn")["status"]
        return any(one["reason"] == "GateNotPassed" for one in status.get("candidates") or ())

    lane.until("it does not pass", rejected)
    lane.says("skip-gate", "2 agreed with risk")
    lane.serves(2)


@workload
def jobs_that_look(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    score = {"metadata": fated({"value": 0.5}), "spec": {"containers": [{"name": "score", "image": "score:1"}]}}
    job = {"template": score, "every": "720h"}
    metric = {"name": "accuracy", "below": 0.9, "source": {"job": job}}
    data = {"uri": "s3://acme/churn/", "every": "720h"}
    places = {"reference": {"uri": "s3://acme/train.csv"}, "current": {"uri": "s3://acme/now/"}}
    drift = {**places, "atLeast": 2, "every": "720h"}
    concept = {"metric": "f1", "direction": "Up", "every": "720h"}
    lane.space.measured("churn", "f1", 0.8, count=300)
    triggers = [
        {"name": "held-out", "metric": metric},
        {"name": "new-data", "data": data},
        {"name": "moved", "drift": drift},
        {"name": "better", "conceptDrift": concept},
    ]
    lane.policy("churn", *triggers, cooldown="1h")
    lane.serves(2)
    # It is measured again, and as bad.
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Held")


@workload
def asked_for_by_a_program(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.policy("churn")
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")
    # As the ingest endpoint writes them.
    asked = [{"id": id_, "by": "airflow", "time": "2026-11-20T12:00:00Z"} for id_ in ("load-1", "load-2")]
    lane.space.patch(RETRAINPOLICIES, "churn", {"status": {"requests": asked}}, "status")
    lane.serves(2)
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")


@workload
def a_relapse_on_probation(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.policy("churn", ACCURACY, watch={"period": "1h"})
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")
    lane.ask("churn", "1")
    lane.serves(2)
    lane.until("it is on probation", lambda: "watchedUntil" in _runs(lane)[0])
    lane.space.measured("churn", "accuracy", 0.5)
    lane.condition(MODELDEPLOYMENTS, "churn", "Ready", "RolloutFailed")
    lane.until("it is scaled down", lambda: sum(one["spec"]["replicas"] for one in lane.space.every(DEPLOYMENTS)) == 1)
    lane.condition(RETRAINPOLICIES, "churn", "Ready", "Watching")


@workload
def people_are_told(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    with receiver() as people:
        lane.configure({"receivers": {"people": {"form": "CloudEvents", "url": people.url}}})
        lane.restart()
        lane.policy("churn", notify=[{"receiver": "people", "events": ["Started", "Promoted"]}])
        lane.ask("churn", "1")
        lane.serves(2)
        wanted = {"dev.perennial.retrainpolicy.RunStarted", "dev.perennial.retrainpolicy.RunPromoted"}
        lane.until("they are told", lambda: {body["type"] for _, _, body in people.told} == wanted)
        lane.until("it is off the record", lambda: "pendingNotices" not in _runs(lane)[0])


def _runs(lane: Lane) -> list[Body]:
    found: list[Body] = ((lane.space.get(RETRAINPOLICIES, "churn") or {}).get("status") or {}).get("runs") or [{}]
    return found


@workload
def manual_approval(lane: Lane) -> None:
    lane.version(1)
    lane.deploy(approval="Manual")
    lane.until("it is asked for", lambda: lane.space.there(MODELVERSIONS, "churn-1").get("status"))
    lane.space.patch(MODELVERSIONS, "churn-1", {"spec": {"approval": "Approved"}})
    lane.serves(1)


@workload
def rejection_of_a_bad_version(lane: Lane) -> None:
    lane.version(1, metrics={"accuracy": 0.9})
    lane.deploy(gate={"metrics": [{"name": "accuracy", "min": 0.8}]})
    lane.serves(1)
    lane.version(2, metrics={"accuracy": 0.7})
    lane.until("it is rejected", lambda: "Rejected" in str(lane.space.there(MODELVERSIONS, "churn-2").get("status")))


@workload
def a_training_job_deleted_half_way(lane: Lane) -> None:
    lane.train("run", HELD)
    lane.phase("run", "Running")
    lane.space.delete(TRAININGJOBS, "run")
    lane.until("its pod is gone", lambda: not lane.space.every(PODS))


@workload
def a_deployment_deleted_half_way(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.version(2, STUCK)
    lane.until("it is rolled out", lambda: len(lane.space.every(DEPLOYMENTS)) == 2)
    lane.space.delete(MODELDEPLOYMENTS, "churn")
    lane.until("its pods are gone", lambda: not lane.space.every(PODS))


@workload
def a_policy_deleted_half_way(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.policy("churn", ACCURACY, fates=({"seconds": 4},))
    lane.space.measured("churn", "accuracy", 0.5)
    lane.until("its run is there", lambda: lane.space.every(JOBS))
    lane.space.delete(RETRAINPOLICIES, "churn")
    lane.serves(2)


@workload
def a_version_deleted_half_way(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    lane.version(2, STUCK)
    lane.until("it is rolled out", lambda: len(lane.space.every(DEPLOYMENTS)) == 2)
    # What nobody has seen yet cannot be remembered.
    lane.until("it is counted", lambda: lane.space.there(MODELS, "churn")["status"].get("highestVersion") == 2)
    lane.space.delete(MODELVERSIONS, "churn-2")
    lane.serves(1)


@workload
def two_policies_on_one_deployment(lane: Lane) -> None:
    lane.version(1)
    lane.deploy()
    lane.serves(1)
    for name in ("one", "two"):
        lane.policy(name)
        lane.condition(RETRAINPOLICIES, name, "Ready", "Watching")
    lane.ask("one", "first")
    lane.serves(2)
    lane.ask("two", "first")
    lane.serves(3)


@workload
def a_change_of_the_charts_configuration(lane: Lane) -> None:
    lane.version(1)
    lane.train("run", {"seconds": 8}, model={"name": "other"})
    lane.deploy()
    lane.serves(1)
    lane.configure({"defaults": {"agentResources": {"requests": {"cpu": "11m"}}}})
    lane.restart()
    lane.phase("run", "Succeeded")
    lane.version(2)
    lane.serves(2)
