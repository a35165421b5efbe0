"""Builders for the tests of TrainingJob: a run, its Job, its pods, as the API server would show them."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from perennial.api.base import format_time
from perennial.api.resources import JOBS
from perennial.config import Config
from perennial.plan import Body, Create, Patch, Plan
from perennial.trainingjob.decide import decide
from perennial.trainingjob.snapshot import gather
from tests.world import World

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


def a_run(name: str = "churn-1", **spec: Any) -> Body:
    """A TrainingJob as a user applies it."""
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": format_time(NOW),
        },
        "spec": {
            "model": {"name": "churn"},
            "template": {"spec": {"containers": [{"name": "main", "image": "train:1", "command": ["python", "t.py"]}]}},
            "output": {"uri": "s3://acme/models"},
            **spec,
        },
    }


class APod:
    """A pod of a run's Job, told step by step."""

    def __init__(self, job: Body, number: int = 1) -> None:
        name = f"{job['metadata']['name']}-p{number}"
        self.body: Body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": f"uid-{name}",
                "creationTimestamp": format_time(NOW + timedelta(seconds=number)),
                "labels": {"perennial.dev/trainingjob": "churn-1"},
                "ownerReferences": [{"kind": "Job", "name": "j", "uid": job["metadata"]["uid"], "controller": True}],
            },
            "status": {"phase": "Pending", "conditions": []},
        }
        self._states: dict[str, Body] = {}

    def state(self, container: str, **state: Any) -> Self:
        self._states[container] = state
        status = self.body["status"]
        status["initContainerStatuses"] = [_status(n, s) for n, s in self._states.items() if n == "prepare"]
        status["containerStatuses"] = [_status(n, s) for n, s in self._states.items() if n != "prepare"]
        return self

    def condition(self, type_: str, status: str = "True", reason: str = "", message: str = "") -> Self:
        found = {"type": type_, "status": status, "reason": reason, "message": message}
        self.body["status"]["conditions"].append(found)
        return self

    def phase(self, phase: str, **status: Any) -> Self:
        self.body["status"].update(phase=phase, **status)
        return self

    def running(self, since: datetime = NOW) -> Self:
        self.state("prepare", terminated={"exitCode": 0})
        self.state("main", running={"startedAt": format_time(since)})
        self.state("agent", running={"startedAt": format_time(since)})
        return self.phase("Running")

    def trained(self, exit_code: int = 0, reason: str = "", message: str = "", at: datetime = NOW) -> Self:
        ended = {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": format_time(NOW)}
        ended["finishedAt"] = format_time(at)
        self.running()
        return self.state("main", terminated=ended)

    def published(self, **answer: Any) -> Self:
        answer = {"uri": "s3://acme/models/churn/x", "digest": DIGEST, "format": "sklearn", **answer}
        self.trained()
        self.state("agent", terminated={"exitCode": 0, "message": json.dumps(answer)})
        return self.phase("Succeeded")

    def failed(
        self,
        exit_code: int = 1,
        reason: str = "Error",
        message: str = "",
        answered: str = "TrainingFailed",
        at: datetime = NOW,
    ) -> Self:
        self.trained(exit_code, reason, message, at)
        answer = {"error": {"reason": answered, "message": "the training failed"}}
        self.state("agent", terminated={"exitCode": 1, "message": json.dumps(answer)})
        return self.phase("Failed")

    def agent_failed(self, reason: str, message: str) -> Self:
        self.trained()
        answer = {"error": {"reason": reason, "message": message}}
        self.state("agent", terminated={"exitCode": 1, "message": json.dumps(answer)})
        return self.phase("Failed")

    def agent_killed(self, reason: str = "Error") -> Self:
        self.trained()
        self.state("agent", terminated={"exitCode": 137, "reason": reason})
        return self.phase("Failed")

    def on_lost_node(self, since: str = "2026-11-20T12:00:50Z") -> Self:
        """As the controller of nodes leaves a running pod: it says no reason, and leaves what the kubelet wrote."""
        self.running().condition("ContainersReady").condition("Ready", "False")
        self.body["status"]["conditions"][-1] = {"type": "Ready", "status": "False", "lastTransitionTime": since}
        self.body["spec"] = {"nodeName": "node7"}
        return self

    def disrupted(self) -> Self:
        return self.phase("Failed").condition("DisruptionTarget", reason="PreemptionByScheduler", message="preempted")


def _status(name: str, state: Body) -> Body:
    return {"name": name, "state": state, "image": f"{name}:1", "imageID": f"registry/{name}@sha256:{'b' * 64}"}


class Team:
    """A namespace with one run, which lives through decisions as a cluster would carry them out."""

    def __init__(self, run: Body | None = None, config: Config | None = None) -> None:
        self.run = run or a_run()
        self.world = World(self.run)
        self.config = config or Config()
        self.now = NOW
        self.plans: list[Plan] = []

    def decide(self) -> Plan:
        """One pass: the decision, its actions and its status carried out (a delayed status as if it had waited)."""
        snapshot = gather(self.world, "team", self.run["metadata"]["name"])
        assert snapshot is not None
        plan = decide(snapshot, self.now, self.config)
        self.plans.append(plan)
        for action in plan.actions:
            match action:
                case Create(body):
                    made = deepcopy(body)
                    made["metadata"].setdefault("uid", f"uid-{body['kind']}-{body['metadata']['name']}")
                    made["metadata"]["creationTimestamp"] = format_time(self.now)
                    self.world.add(made)
                case Patch(resource, namespace, name, patch):
                    target = self.world.get(resource, namespace, name)
                    assert target is not None
                    target["spec"].update(patch["spec"])
        if plan.status is not None:
            self.run["status"] = plan.status
        return plan

    def settle(self) -> Plan:
        """Decide until nothing changes any more; the last plan."""
        for _ in range(10):
            before = deepcopy((self.world.objects, self.run.get("status")))
            plan = self.decide()
            if (self.world.objects, self.run.get("status")) == before:
                return plan
        raise AssertionError("the decisions do not settle")

    def after(self, seconds: float) -> Self:
        self.now += timedelta(seconds=seconds)
        return self

    @property
    def job(self) -> Body:
        """Its newest Job."""
        return [body for body in self.world.list(JOBS, "team") if "recover" not in body["metadata"]["name"]][-1]

    @property
    def status(self) -> Body:
        status: Body = self.run["status"]
        return status

    def started(self) -> Self:
        """With its Job made."""
        self.settle()
        return self

    def pod(self, number: int = 1) -> APod:
        pod = APod(self.job, number)
        self.world.add(pod.body)
        return pod

    def nodes(self) -> list[APod]:
        """The pods of an Indexed Job, as its controller makes them."""
        pods = [APod(self.job, number + 1) for number in range(self.job["spec"]["completions"])]
        for index, pod in enumerate(pods):
            pod.body["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
            self.world.add(pod.body)
        return pods

    def job_is(self, type_: str, reason: str = "") -> Self:
        condition = {"type": type_, "status": "True", "reason": reason, "message": f"job {reason}"}
        self.job["status"] = {"conditions": [condition]}
        return self
