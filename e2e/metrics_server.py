"""The metrics server in the cluster: what a HorizontalPodAutoscaler scales by, through the aggregation layer."""

import json
from typing import Any

import yaml

from e2e.cluster import images, tools
from e2e.lab import Body, Lab

NAMESPACE = "kube-system"
_API = "/apis/metrics.k8s.io/v1beta1"
_DEPLOYMENT = "deployment/metrics-server"


def by_cpu(target: int, least: int, most: int) -> Body:
    """spec.autoscaling: pods are to use so many percent of the CPU that they request; it scales down soon."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
    return {
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
    }


class MetricsServer:
    """The one of the cluster, installed as its own project says."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def install(self) -> None:
        """Bring it into the cluster, and return when it has measured the node."""
        self._lab.cluster.load([images.ensure("metrics-server")])
        base = tools.source("metrics-server", "sigs.k8s.io/metrics-server") / "manifests" / "base"
        bodies = [_adapted(body) for body in yaml.safe_load_all(self._lab.kubectl("kustomize", str(base)))]
        self._lab.apply(bodies)
        self._lab.kubectl("rollout", "status", "-n", NAMESPACE, _DEPLOYMENT, "--timeout=120s")
        self._lab.until("the metrics server has measured the node", lambda: self.measured("nodes"), 90, seen=self.log)

    def measured(self, path: str) -> list[Body]:
        """What it measured: of `nodes`, or of `namespaces/NAME/pods`; empty while it does not answer."""
        done = self._lab.run("kubectl", "get", "--raw", f"{_API}/{path}", check=False)
        items: list[Body] = json.loads(done.stdout)["items"] if not done.returncode else []
        return items

    def log(self) -> str:
        """What it said last."""
        return self._lab.kubectl("logs", "-n", NAMESPACE, _DEPLOYMENT, "--tail=25")


def _adapted(body: Body) -> Body:
    """For this cluster: its image, kubelets whose certificates nobody signed, and no longer waits than it allows."""
    if body["kind"] == "Deployment":
        container: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
        container["image"] = images.name("metrics-server")
        container["args"] += [
            "--kubelet-insecure-tls",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ]
        container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 1}
    return body
