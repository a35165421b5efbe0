"""A RetrainPolicy on a real API server, with its own controller alone: the test plays the trainings and the rollouts.

Versions and promotions are written as their controllers write them, at the moment that the test needs them.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial import app, retrainpolicy
from perennial.api.base import format_time, parse_time
from perennial.api.resources import (
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    TRAININGJOBS,
)
from perennial.config import Config
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.plan import Body
from perennial.runtime.lease import Lease
from perennial.telemetry import logs
from perennial.telemetry.health import Health
from tests.apiserver.operators import USER, Operator, apply_kinds, eventually
from tests.apiserver.space import Space

DIGEST = "sha256:" + "a" * 64
TRAINING = {
    "model": {"name": "churn"},
    "template": {"spec": {"containers": [{"name": "train", "image": "train:1", "command": ["python", "train.py"]}]}},
    "parameters": {"run": "$(run.number)", "why": "$(run.trigger)", "value": "$(run.value)"},
    "output": {"uri": "s3://acme/models"},
}
ACCURACY: Body = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 10}}


class PolicyOperator(Operator):
    """An operator of this one kind."""

    def __init__(self, server: ApiServer, identity: str) -> None:
        super().__init__(server, identity)
        self._command[2] = "tests.apiserver.test_retrainpolicy"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of the module's own: its trainings must not be run by the operator of the other tests."""
    folder = tmp_path_factory.mktemp("policies")
    with ApiServer(folder, users={USER: ["system:masters"]}, audit=True, controller_manager=True) as server:
        apply_kinds(server)
        yield server


@pytest.fixture(scope="module")
def operator(server: ApiServer) -> Iterator[PolicyOperator]:
    with PolicyOperator(server, "policies-0") as operator:
        operator.started()
        yield operator


class Loop:
    """A namespace with a deployment that serves version 1, and a person's and the other controllers' hands in it."""

    def __init__(self, server: ApiServer) -> None:
        self.space = Space(server)
        self.space.make(MODELDEPLOYMENTS, "churn", {"model": {"name": "churn"}})
        self.promote(1)

    def policy(self, *triggers: Body, **spec: Any) -> None:
        template = {"spec": TRAINING}
        whole = {"deployment": {"name": "churn"}, "trainingJobTemplate": template, "triggers": list(triggers), **spec}
        self.space.make(RETRAINPOLICIES, "churn", whole)

    def edit(self, **spec: Any) -> None:
        self.space.patch(RETRAINPOLICIES, "churn", {"spec": spec})

    def ask(self, value: str) -> None:
        self.space.patch(RETRAINPOLICIES, "churn", {"metadata": {"annotations": {"perennial.dev/run-request": value}}})

    def report(self, value: float, count: int = 50) -> None:
        """What the ingest endpoint would write."""
        self.space.measured("churn", "accuracy", value, count)

    def promote(self, version: int) -> None:
        deployment = self.space.there(MODELDEPLOYMENTS, "churn")
        promotion = {
            "revision": f"churn-r{version}",
            "model": "churn",
            "version": version,
            "digest": DIGEST,
            "uri": "s3://acme/models/x",
            "format": "sklearn",
            "time": format_time(datetime.now(UTC)),
        }
        older = (deployment.get("status") or {}).get("promotions") or []
        self._deployment(stableRevision=promotion["revision"], promotions=[promotion, *older], candidates=[])

    def candidate(self, version: int, state: str, message: str) -> None:
        self._deployment(candidates=[{"version": version, "state": state, "reason": state, "message": message}])

    def _deployment(self, **status: Any) -> None:
        self.space.patch(MODELDEPLOYMENTS, "churn", {"status": status}, "status")

    def training(self, run: int) -> Body:
        return self.space.there(TRAININGJOBS, f"churn-{run}")

    def ends(self, run: int, type_: str, message: str = "", **status: Any) -> None:
        condition = {
            "type": type_,
            "status": "True",
            "reason": "Ended",
            "message": message,
            "lastTransitionTime": format_time(datetime.now(UTC)),
        }
        self.space.patch(TRAININGJOBS, f"churn-{run}", {"status": {"conditions": [condition], **status}}, "status")

    def succeeds(self, run: int, version: int) -> None:
        job = self.training(run)
        spec = {
            "model": "churn",
            "version": version,
            "uri": "s3://acme/models/x",
            "digest": DIGEST,
            "format": "sklearn",
            "trainingJob": {"name": f"churn-{run}", "uid": job["metadata"]["uid"]},
            "retrain": {"policy": "churn", "run": run, "cause": {"trigger": "accuracy", "type": "Metric"}},
        }
        self.space.make(MODELVERSIONS, f"churn-{version}", spec)
        self.ends(run, "Complete", modelVersion=f"churn-{version}")

    @property
    def status(self) -> Body:
        return (self.space.get(RETRAINPOLICIES, "churn") or {}).get("status") or {}

    def runs(self) -> list[tuple[int, str]]:
        return [(run["number"], run["phase"]) for run in self.status.get("runs") or ()]

    def reaches(self, *runs: tuple[int, str], seconds: float = 10.0) -> Body:
        """The status once its runs are these, newest first."""
        deadline = time.monotonic() + seconds
        while self.runs() != list(runs):
            assert time.monotonic() < deadline, f"not {runs} after {seconds:g} s: {self.status}"
            time.sleep(0.1)
        return self.status

    def says(self, type_: str, status: str, reason: str) -> str:
        """The message of a condition once it is so."""

        def found() -> list[str]:
            conditions = self.status.get("conditions") or ()
            wanted = (type_, status, reason)
            return [one["message"] for one in conditions if (one["type"], one["status"], one["reason"]) == wanted]

        return eventually(found)[0]

    def jobs(self) -> set[str]:
        return {job["metadata"]["name"] for job in self.space.every(TRAININGJOBS)}


@pytest.fixture
def loop(server: ApiServer, operator: PolicyOperator) -> Loop:
    return Loop(server)


def test_a_metric_that_crosses_is_trained_for_until_it_is_promoted(loop: Loop) -> None:
    loop.policy(ACCURACY)
    loop.report(0.95)
    loop.says("Ready", "True", "Watching")
    loop.report(0.1, count=500)
    job = loop.training(1)
    assert job["spec"]["parameters"] == {
        "run": "1",
        "why": "accuracy",
        "value": f"{loop.status['runs'][0]['cause']['value']:g}",
    }
    assert job["spec"]["model"] == {"name": "churn"}
    assert "ownerReferences" not in job["metadata"]

    loop.reaches((1, "Training"))
    loop.succeeds(1, 2)
    loop.reaches((1, "Deciding"))
    loop.candidate(2, "RollingOut", "1 of 3 pods is ready")
    loop.reaches((1, "RollingOut"))
    loop.promote(2)
    status = loop.reaches((1, "Promoted"))
    assert status["runs"][0]["modelVersion"] == "churn-2"
    assert status["active"] == 0
    eventually(lambda: {"RunStarted", "RunPromoted"} <= {event["reason"] for event in loop.space.events("churn")})
    table = loop.space.server.kubectl("get", "-n", loop.space.name, "retrainpolicies")
    assert {"churn", "Watching", "Promoted"} <= set(table.split())
    time.sleep(1)
    loop.space.idle(3)


def test_a_run_that_fails_stalls_the_policy_until_a_request(loop: Loop) -> None:
    loop.policy(ACCURACY, unpromotedLimit=1)
    loop.report(0.1)
    loop.reaches((1, "Training"))
    loop.ends(1, "Failed", "exit code 1")
    status = loop.reaches((1, "Failed"))
    assert status["runs"][0]["message"] == "TrainingJob churn-1 failed: exit code 1"
    assert "perennial.dev/run-request" in loop.says("Stalled", "True", "UnpromotedLimit")
    skipped = [(row["trigger"], row["reason"]) for row in loop.status["skipped"]]
    assert skipped == [("accuracy", "UnpromotedLimit")]
    loop.ask("person-1")
    status = loop.reaches((2, "Training"), (1, "Failed"))
    assert (status["unpromoted"], status["lastRequest"]) == (0, "person-1")


def test_trouble_is_said_and_ends_when_it_is_mended(loop: Loop) -> None:
    loop.policy(
        {"name": "bad", "schedule": {"cron": "0 3 * * *", "timeZone": "Europe/Berlim"}}, deployment={"name": "x"}
    )
    assert "there is no ModelDeployment x" in loop.says("Stalled", "True", "DeploymentNotFound")
    loop.edit(deployment={"name": "churn"})
    assert "spec.triggers[bad].schedule.timeZone: 'Europe/Berlim'" in loop.says("Stalled", "True", "InvalidTrigger")
    loop.edit(triggers=[ACCURACY], trainingJobTemplate={"spec": {"model": {"name": "other"}}})
    assert "trains other, but ModelDeployment churn serves churn" in loop.says("Stalled", "True", "ModelMismatch")
    loop.edit(trainingJobTemplate={"spec": {"model": {"name": "churn"}}})
    loop.says("Ready", "True", "Watching")


def test_a_name_that_somebody_took_is_passed_by(loop: Loop) -> None:
    loop.space.train("churn-1")
    loop.policy()
    loop.ask("one")
    loop.reaches((2, "Training"))
    assert loop.jobs() == {"churn-1", "churn-2"}


def test_replace_deletes_the_running_training(loop: Loop) -> None:
    loop.policy(concurrencyPolicy="Replace")
    loop.ask("one")
    loop.reaches((1, "Training"))
    loop.ask("two")
    loop.reaches((2, "Training"), (1, "Replaced"))
    assert eventually(lambda: loop.jobs() == {"churn-2"})


def test_a_training_deleted_by_hand_fails_its_run(loop: Loop) -> None:
    loop.policy()
    loop.ask("one")
    loop.reaches((1, "Training"))
    loop.space.delete(TRAININGJOBS, "churn-1")
    status = loop.reaches((1, "Failed"))
    assert "was deleted before it finished" in status["runs"][0]["message"]
    time.sleep(1)
    assert loop.jobs() == set()


def test_a_person_has_baselines_begin_anew(loop: Loop) -> None:
    metric = {"name": "accuracy", "relativeTo": {"baseline": "Promotion"}, "below": -0.1, "window": "1s"}
    loop.policy({"name": "accuracy", "metric": metric | {"window": "1m"}}, suspend=True)

    def row() -> Body:
        return (loop.status.get("triggers") or [{}])[0]

    loop.report(0.9)
    eventually(lambda: "gathers its baseline until" in row().get("message", ""))
    loop.edit(triggers=[{"name": "accuracy", "metric": metric}])
    assert eventually(lambda: row().get("baseline")) == pytest.approx(0.9)
    annotations = {"perennial.dev/rebaseline": "another season"}
    loop.space.patch(RETRAINPOLICIES, "churn", {"metadata": {"annotations": annotations}})
    loop.report(0.5, 5000)
    begun = eventually(lambda: loop.status.get("rebaselineTime"))
    assert loop.status["lastRebaseline"] == "another season"
    assert eventually(lambda: row().get("baseline", 1) < 0.6), row()
    assert loop.status["rebaselineTime"] == begun


def test_accelerator_hours_are_counted_also_of_a_training_that_was_deleted(loop: Loop) -> None:
    container = {"name": "train", "image": "train:1", "command": ["train"], "resources": {"limits": {"amd.com/gpu": 4}}}
    template = {"spec": TRAINING | {"template": {"spec": {"containers": [container]}}}}
    loop.policy(trainingJobTemplate=template, budget={"acceleratorHours": 8, "per": "3h"})
    loop.ask("one")
    loop.reaches((1, "Training"))
    begun = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)
    running = {"status": {"runningSince": format_time(begun), "runningSeconds": 3600}}
    loop.space.patch(TRAININGJOBS, "churn-1", running, "status")
    known = {"accelerators": 4, "acceleratorSeconds": 14400, "since": format_time(begun)}
    assert eventually(lambda: loop.status["runs"][0].get("acceleratorUse")) == known
    loop.space.delete(TRAININGJOBS, "churn-1")
    use = loop.reaches((1, "Failed"))["runs"][0]["acceleratorUse"]
    assert use["acceleratorSeconds"] == pytest.approx(28800, abs=100)
    loop.ask("two")
    said = re.search(r"8 of 8 accelerator-hours in 3h are spent until (\S+) ", loop.says("Ready", "True", "Held"))
    assert said
    assert timedelta() < parse_time(said[1]) - begun - timedelta(hours=2) < timedelta(seconds=100)
    assert loop.jobs() == set()
    loop.edit(budget={"acceleratorHours": 9})
    loop.reaches((2, "Training"), (1, "Failed"))


def test_a_policy_that_goes_leaves_its_trainings_and_a_new_one_counts_on(loop: Loop) -> None:
    loop.policy()
    loop.ask("one")
    loop.reaches((1, "Training"))
    loop.space.delete(RETRAINPOLICIES, "churn")
    loop.policy()
    loop.ask("one")
    loop.reaches((2, "Training"))
    assert loop.jobs() == {"churn-1", "churn-2"}


def test_a_quota_is_said_and_waited_for(loop: Loop) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    path = f"/api/v1/namespaces/{loop.space.name}/resourcequotas"
    hard = {"count/trainingjobs.perennial.dev": "0"}
    loop.space.server.request("POST", path, quota | {"spec": {"hard": hard}})
    # The quota's controller learns of new kinds every half minute only.
    counted = {"status": {"hard": hard, "used": hard}}
    loop.space.server.request("PATCH", f"{path}/none/status", counted, "application/merge-patch+json")
    loop.policy()
    loop.ask("one")
    assert "exceeded quota: none" in loop.says("Ready", "False", "QuotaExceeded")
    loop.reaches((1, "Pending"))
    loop.space.server.request("DELETE", f"{path}/none")
    loop.reaches((1, "Training"), seconds=20)


def test_a_schedule_runs_once_a_tick_through_kills(server: ApiServer, operator: PolicyOperator) -> None:
    """The tick comes, and the operator is killed at any moment around it; two others stand by."""
    loop = Loop(server)
    now = datetime.now(UTC)
    tick = (now + timedelta(minutes=1)).replace(second=0, microsecond=0)
    loop.policy({"name": "once", "schedule": {"cron": f"{tick.minute} {tick.hour} * * *"}}, concurrencyPolicy="Allow")
    with PolicyOperator(server, "policies-1"), PolicyOperator(server, "policies-2"):
        loop.says("Ready", "True", "Watching")
        assert loop.status["nextScheduleTime"] == format_time(tick)
        wait = (tick - datetime.now(UTC)).total_seconds()
        time.sleep(max(0.0, wait - 0.5))
        for _ in range(4):
            time.sleep(0.3)
            assert operator.process
            operator.process.kill()
            operator.process.wait()
            operator.__enter__()
        status = loop.reaches((1, "Training"), seconds=40)
        assert status["runs"][0]["cause"]["scheduledTime"] == format_time(tick)
        assert status["triggers"][0]["lastScheduleTime"] == format_time(tick)
        time.sleep(2)
        assert loop.jobs() == {"churn-1"}
        creates = loop.space.requests()["create trainingjobs"]
        assert creates == 1


async def main(kubeconfig: str, identity: str, port: int, seconds: float) -> int:
    """An operator of RetrainPolicies alone."""
    credentials = login.load(kubeconfig)
    async with HttpClient(credentials) as client:
        lease = Lease(
            client, "default", "policies", identity, duration=seconds, deadline=0.6 * seconds, period=0.1 * seconds
        )
        controllers = [retrainpolicy.CONTROLLER]
        health = Health()
        return await app.run(
            controllers, Config(), client, credentials, lease, health=health, address=("127.0.0.1", port)
        )


if __name__ == "__main__":
    logs.configure("INFO")
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
