"""A node without a machine: it is heard of while a test says so, and its pods run in name only.

What the cluster makes of a node that falls silent or is deleted is then the cluster's own doing.
"""

import json
from datetime import UTC, datetime
from typing import Any

from e2e.lab import Body, Lab

LABEL = "e2e.perennial.dev/hollow"
_ROOM = {"cpu": "4", "memory": "4Gi", "pods": "20"}


class HollowNode:
    """One node. Only pods that ask for it come to it, see `placed`."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab, self.name = lab, name

    @property
    def placed(self) -> Body:
        """What a pod's spec says to come here, and to stay when the node is lost: others go after five minutes."""
        return {"nodeSelector": {LABEL: self.name}, "tolerations": [{"operator": "Exists"}]}

    def join(self) -> None:
        """Be there, and ready."""
        metadata = {"name": self.name, "labels": {LABEL: self.name}}
        taint = {"key": LABEL, "effect": "NoSchedule"}
        self._lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}})
        self.beat()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "",
            "lastHeartbeatTime": _now(),
        }
        self._patch("node", self.name, {"capacity": _ROOM, "allocatable": _ROOM, "conditions": [ready]})

    def beat(self) -> None:
        """Be heard of; without it the cluster gives the node up after 50 s."""
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": _now()}
        metadata = {"name": self.name, "namespace": "kube-node-lease"}
        self._lab.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})

    def leave(self) -> None:
        """Be deleted."""
        self._lab.kubectl("delete", "node", self.name, "--ignore-not-found")

    def run(self, pod: Body) -> None:
        """Say of a pod that was scheduled here that it runs and is ready, as its kubelet would."""
        now = _now()
        types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        done = {"terminated": {"exitCode": 0, "startedAt": now, "finishedAt": now}}
        status = {
            "phase": "Running",
            "conditions": [{"type": type_, "status": "True", "lastTransitionTime": now} for type_ in types],
            "podIP": "192.0.2.1",
            "podIPs": [{"ip": "192.0.2.1"}],
            "initContainerStatuses": [_container(one, done) for one in pod["spec"].get("initContainers") or ()],
            "containerStatuses": [
                _container(one, {"running": {"startedAt": now}}) for one in pod["spec"]["containers"]
            ],
        }
        self._patch("pod", pod["metadata"]["name"], status, "-n", pod["metadata"]["namespace"])

    def _patch(self, kind: str, name: str, status: Any, *more: str) -> None:
        patch = json.dumps({"status": status})
        self._lab.kubectl("patch", kind, name, *more, "--subresource=status", "--type=merge", "-p", patch)


def _container(spec: Body, state: Body) -> Body:
    runs = "running" in state
    known = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0}
    return {**known, "state": state, "ready": True, "started": runs}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
