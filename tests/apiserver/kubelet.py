"""Plays the kubelet: writes the statuses of pods that nothing runs. Jobs and their pods are the real controllers'."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.api.base import format_time
from perennial.api.resources import PODS
from perennial.plan import Body
from tests.apiserver.operators import eventually
from tests.apiserver.space import Space

DIGEST = "sha256:" + "a" * 64
# The Job controller waits 10 s and more before it replaces a pod that has just failed.
LONG_AGO = timedelta(minutes=10)


class Kubelet:
    """The kubelet of one namespace. Every method takes the name of a TrainingJob and reports on its newest live pod;
    with a `node`, on that of one of several nodes."""

    def __init__(self, space: Space, node: int | None = None) -> None:
        self._space = space
        self._node = node

    def pods(self, run: str) -> list[Body]:
        """All pods of a run, also of its recovery."""
        label = "perennial.dev/trainingjob"
        return [pod for pod in self._space.every(PODS) if pod["metadata"]["labels"].get(label) == run]

    def pod(self, run: str, job: str | None = None) -> Body:
        """The pod that waits or runs, as soon as the Job controller has made it."""

        def live() -> Body | None:
            for pod in self.pods(run):
                ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
                labels = pod["metadata"]["labels"]
                mine = (
                    labels["job-name"] == (job or run)
                    if self._node is None
                    else labels["batch.kubernetes.io/job-completion-index"] == str(self._node)
                )
                if mine and not ended and "deletionTimestamp" not in pod["metadata"]:
                    return pod
            return None

        return eventually(live, 20) or {}

    def report(self, run: str, phase: str, states: Body | None = None, *, job: str | None = None, **status: Any) -> str:
        """Write a pod's status: the states of its containers by name. The pod's name."""
        return self._write(self.pod(run, job), phase, states or {}, status)

    def _write(self, pod: Body, phase: str, states: Body, status: Body) -> str:
        name = str(pod["metadata"]["name"])
        lists = {"initContainers": "initContainerStatuses", "containers": "containerStatuses"}
        for field, of in lists.items():
            status[of] = [
                _container(one["name"], states.get(one["name"], {"waiting": {"reason": "PodInitializing"}}))
                for one in pod["spec"].get(field) or ()
            ]
        self._space.patch(PODS, name, {"status": {"phase": phase, **status}}, "status")
        return name

    def unschedulable(self, run: str, message: str) -> str:
        """As the scheduler writes it."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return self.report(run, "Pending", conditions=[condition])

    def placed(self, run: str) -> None:
        """As the scheduler does it: a pod that has a node is not gone before it has ended."""
        metadata = {"name": self.pod(run)["metadata"]["name"]}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": {"name": "node-1"}}
        self._space.server.request("POST", PODS.path(self._space.name, metadata["name"], "binding"), binding)

    def waits(self, run: str, container: str, reason: str, message: str) -> str:
        """A container cannot be started."""
        waiting = {container: {"waiting": {"reason": reason, "message": message}}}
        prepared = {} if container == "prepare" else {"prepare": _ended(0)}
        return self.report(run, "Pending", prepared | waiting, conditions=[])

    def runs(self, run: str) -> str:
        """The training runs."""
        now = {"running": {"startedAt": format_time(datetime.now(UTC))}}
        return self.report(run, "Running", {"prepare": _ended(0), "main": now, "agent": now}, conditions=[])

    def lost(self, run: str) -> str:
        """The training's node is not heard of, as the controller of nodes writes it: it gives no reason."""
        since = "2026-11-20T12:00:50Z"
        types = {"ContainersReady": "True", "Ready": "False"}
        conditions = [{"type": type_, "status": is_, "lastTransitionTime": since} for type_, is_ in types.items()]
        now = {"running": {"startedAt": format_time(datetime.now(UTC))}}
        return self.report(run, "Running", {"prepare": _ended(0), "main": now, "agent": now}, conditions=conditions)

    def trained(self, run: str) -> str:
        """The training has ended well, and the agent publishes."""
        now = {"running": {"startedAt": format_time(datetime.now(UTC))}}
        states = {"prepare": _ended(0), "main": _ended(0), "agent": now}
        return self.report(run, "Running", states, conditions=[])

    def publishes(self, run: str, **answer: Any) -> str:
        """The training ended well and the agent published."""
        answer = {"uri": f"s3://acme/models/{run}", "digest": DIGEST, "format": "sklearn", **answer}
        states = {"prepare": _ended(0), "main": _ended(0), "agent": _ended(0, message=json.dumps(answer))}
        return self.report(run, "Succeeded", states)

    def ends(self, run: str, phase: str, states: Body | None = None, job: str | None = None, **status: Any) -> str:
        """The pod ended; each container with (exit code, message, reason)."""
        ended = {name: _ended(*how) for name, how in (states or {}).items()}
        return self.report(run, phase, ended, job=job, **status)

    def fails(self, run: str, code: int = 1, message: str = "", reason: str = "Error") -> str:
        """The training ended with this exit code, and the agent with the answer that nothing is published."""
        answer = json.dumps({"error": {"reason": "TrainingFailed", "message": "the training failed"}})
        states = {"prepare": (0,), "main": (code, message, reason), "agent": (1, answer)}
        return self.ends(run, "Failed", states)

    def stops(self, run: str) -> str:
        """A pod that was deleted is ended, as soon as it is."""
        deleted = eventually(lambda: [p for p in self.pods(run) if "deletionTimestamp" in p["metadata"]])[0]
        ended = {name: _ended(143) for name in ("main", "agent")}
        return self._write(deleted, "Failed", {"prepare": _ended(0)} | ended, {})

    def loses(self, run: str) -> str:
        """The node takes the pod away."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "taken",
        }
        return self.ends(run, "Failed", {"prepare": (0,), "main": (137,), "agent": (137,)}, conditions=[condition])


def _ended(code: int, message: str = "", reason: str = "") -> Body:
    at = format_time(datetime.now(UTC) - LONG_AGO)
    reason = reason or ("Completed" if code == 0 else "Error")
    ended = {"exitCode": code, "reason": reason, "message": message, "startedAt": at, "finishedAt": at}
    return {"terminated": ended}


def _container(name: str, state: Body) -> Body:
    digest = "registry.example/train@sha256:" + "b" * 64
    ready = "running" in state
    return {
        "name": name,
        "state": state,
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "image": "train:1",
        "imageID": digest,
    }
