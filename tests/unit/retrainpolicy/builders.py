"""Builders for the tests of RetrainPolicy: a policy, what it watches, and a namespace that lives through decisions."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import JOBS, METRICSERIES, TRAININGJOBS
from perennial.api.trigger import MetricTrigger, Trigger
from perennial.config import Config
from perennial.metricseries.series import Sample, fold
from perennial.plan import Body, Create, Delete, Plan
from perennial.retrainpolicy.decide import decide
from perennial.retrainpolicy.snapshot import gather
from tests.world import World

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
API = "perennial.dev/v1alpha1"
ACCURACY: Body = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "window": "1h"}}
NIGHTLY: Body = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}}
HOURLY: Body = {"name": "hourly", "schedule": {"cron": "0 * * * *"}}


def a_policy(*triggers: Body, created: datetime = NOW, **spec: Any) -> Body:
    """A policy as a user applies it."""
    return {
        "apiVersion": API,
        "kind": "RetrainPolicy",
        "metadata": {
            "name": "churn",
            "namespace": "team",
            "uid": "uid-policy",
            "generation": 1,
            "creationTimestamp": format_time(created),
            "annotations": {},
        },
        "spec": {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": {"model": {"name": "churn"}}},
            "triggers": list(triggers),
            **spec,
        },
    }


def a_deployment(promoted: datetime = NOW - timedelta(hours=6), version: int = 1) -> Body:
    """A deployment that serves a version since a time."""
    body: Body = {
        "apiVersion": API,
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "namespace": "team", "uid": "uid-deployment"},
        "spec": {"model": {"name": "churn"}},
        "status": {"promotions": [], "candidates": [], "vetoes": []},
    }
    promote(body, version, promoted)
    return body


def promote(deployment: Body, version: int, time: datetime) -> None:
    """The deployment serves this version from now on."""
    promotion = {
        "revision": f"churn-r{version}",
        "model": "churn",
        "version": version,
        "digest": DIGEST,
        "uri": "s3://acme/models/churn/x",
        "format": "sklearn",
        "time": format_time(time),
    }
    deployment["status"]["promotions"] = [promotion, *deployment["status"]["promotions"][:19]]
    deployment["status"]["stableRevision"] = promotion["revision"]
    deployment["status"]["candidates"] = []


def a_version(number: int, run: int, job: str) -> Body:
    """The ModelVersion that came of a run."""
    return {
        "apiVersion": API,
        "kind": "ModelVersion",
        "metadata": {"name": f"churn-{number}", "namespace": "team", "uid": f"uid-version-{number}"},
        "spec": {
            "model": "churn",
            "version": number,
            "uri": "s3://acme/models/churn/x",
            "digest": DIGEST,
            "format": "sklearn",
            "trainingJob": {"name": job, "uid": f"uid-{job}"},
            "retrain": {"policy": "churn", "run": run, "cause": {"trigger": "accuracy", "type": "Metric"}},
        },
    }


def a_series() -> Body:
    """What the deployment reported: nothing yet."""
    return {"apiVersion": API, "kind": "MetricSeries", "metadata": {"name": "churn", "namespace": "team"}}


def a_trigger(**metric: Any) -> Trigger:
    """A trigger on accuracy below 0.9 in the last hour."""
    spec = {"name": "accuracy", "window": "1h", "below": 0.9, **metric}
    return Trigger(name="accuracy", metric=MetricTrigger.model_validate(spec))


class Team:
    """A namespace with one policy, which lives through decisions as a cluster would carry them out."""

    def __init__(self, policy: Body, deployment: Body | None = None, now: datetime = NOW) -> None:
        self.policy = policy
        self.deployment = deployment or a_deployment()
        self.world = World(policy, self.deployment)
        self.now = now
        self.config = Config()
        self.plan = Plan()
        self.made: list[str] = []
        self.sent: list[str] = []
        self.versions = 1
        self.writes = 0
        self.told: list[str] = []

    def decide(self, *, status_lost: bool = False) -> Plan:
        """One pass, carried out. `status_lost`: the operator dies between the actions and the status."""
        snapshot = gather(self.world, "team", "churn")
        assert snapshot is not None
        plan = self.plan = decide(snapshot, self.now, self.config)
        for action in plan.actions:
            match action:
                case Create(body):
                    name, looks = body["metadata"]["name"], body["kind"] == "Job"
                    resource = JOBS if looks else TRAININGJOBS
                    assert self.world.get(resource, "team", name) is None, f"{name} is there already"
                    made = deepcopy(body)
                    made["metadata"].update(uid=f"uid-{name}", creationTimestamp=format_time(self.now))
                    (self.sent if looks else self.made).append(name)
                    self.world.add(made)
                case Delete(resource, namespace, name, uid):
                    found = self.world.get(resource, namespace, name)
                    if found and found["metadata"]["uid"] == uid:
                        self.world.remove(found)
        if not status_lost and plan.status is not None and plan.status != self.policy.get("status"):
            self.policy["status"] = deepcopy(plan.status)
            self.writes += 1
            self.told += [event.reason for event in plan.events]
        return plan

    def settle(self) -> Self:
        """Decide until nothing changes any more."""
        for _ in range(20):
            before = deepcopy((self.world.objects, self.policy.get("status")))
            self.decide()
            if (self.world.objects, self.policy.get("status")) == before:
                return self
        raise AssertionError("the decisions do not settle")

    def after(self, **span: float) -> Self:
        self.now += timedelta(**span)
        return self

    def looked(self, message: str, code: int = 0, **condition: str) -> Self:
        """How the Job that was sent last ended, and what its first container left."""
        job = self.world.get(JOBS, "team", self.sent[-1])
        assert job is not None
        template, uid = job["spec"]["template"], job["metadata"]["uid"]
        ended = {"exitCode": code, "message": message}
        container = {"name": template["spec"]["containers"][0]["name"], "state": {"terminated": ended}}
        metadata = {"name": f"{self.sent[-1]}-x", "namespace": "team", "uid": f"{uid}-x"}
        metadata |= {"ownerReferences": [{"kind": "Job", "name": self.sent[-1], "uid": uid, "controller": True}]}
        metadata |= {"labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}}
        self.world.add(pod | {"status": {"containerStatuses": [container]}})
        held = {"type": "Failed" if code else "Complete", "status": "True", "message": "", **condition}
        job["status"] = {"conditions": [held | {"lastTransitionTime": format_time(self.now)}]}
        return self

    def report(self, value: float, *, count: int = 1, at: datetime | None = None, revision: str | None = None) -> Self:
        """Samples of accuracy, of the served revision unless said otherwise."""
        series = self.world.get(METRICSERIES, "team", "churn") or a_series()
        of = revision or self.deployment["status"]["stableRevision"]
        sample = Sample("accuracy", value, (at or self.now).timestamp(), of, count)
        self.world.add(fold(series, [sample], self.now))
        return self

    def request(self, value: str) -> Self:
        self.policy["metadata"]["annotations"][ANNOTATION_RUN_REQUEST] = value
        return self

    def edit(self, **spec: Any) -> Self:
        self.policy["spec"].update(spec)
        self.policy["metadata"]["generation"] += 1
        return self

    def job(self, run: int | None = None) -> Body:
        number = run or self.status["lastRun"]
        found = self.world.get(TRAININGJOBS, "team", f"churn-{number}")
        assert found is not None
        return found

    def fails(self, run: int | None = None, message: str = "exit code 1") -> Self:
        condition = {"type": "Failed", "status": "True", "reason": "ExitCode", "message": message}
        self.job(run)["status"] = {"phase": "Failed", "conditions": [condition]}
        return self

    def succeeds(self, run: int | None = None) -> Self:
        """The run's training yields the next version."""
        job = self.job(run)
        self.versions += 1
        name = job["metadata"]["name"]
        self.world.add(a_version(self.versions, int(job["metadata"]["labels"]["perennial.dev/run"]), name))
        condition = {"type": "Complete", "status": "True", "reason": "Published", "message": ""}
        job["status"] = {"phase": "Succeeded", "conditions": [condition], "modelVersion": f"churn-{self.versions}"}
        return self

    def promotes(self) -> Self:
        """The deployment takes the newest version."""
        promote(self.deployment, self.versions, self.now)
        return self

    def says(self, state: str, message: str = "") -> Self:
        """What the deployment says of the newest version."""
        return self._candidate(state, state, message)

    def waits(self, reason: str, message: str = "") -> Self:
        """Why the deployment lets the newest version wait."""
        return self._candidate("Waiting", reason, message)

    def _candidate(self, state: str, reason: str, message: str) -> Self:
        candidate = {"version": self.versions, "state": state, "reason": reason, "message": message}
        self.deployment["status"]["candidates"] = [candidate]
        return self

    @property
    def status(self) -> Body:
        status: Body = self.policy["status"]
        return status

    @property
    def message(self) -> str:
        """Of the condition Ready."""
        return next(str(one["message"]) for one in self.status["conditions"] if one["type"] == "Ready")

    @property
    def runs(self) -> list[tuple[int, str]]:
        """(number, phase), newest first."""
        return [(run["number"], run["phase"]) for run in self.status.get("runs", ())]

    def trigger(self, name: str) -> Body:
        found: Body = next(row for row in self.status["triggers"] if row["name"] == name)
        return found

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(trigger, reason), newest first."""
        return [(row["trigger"], row["reason"]) for row in self.status.get("skipped", ())]
