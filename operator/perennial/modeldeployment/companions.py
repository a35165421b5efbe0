"""What the spec asks for beside the pods: who may call, how many may be missing, how many serve, a way in."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perennial.api.companions import Autoscaling, Disruption, Ingress, Network
from perennial.api.conditions import Said, find
from perennial.api.meta import LABEL_CHECK, LABEL_GOLDEN
from perennial.api.resources import (
    HORIZONTALPODAUTOSCALERS,
    INGRESSES,
    MODELDEPLOYMENTS,
    NETWORKPOLICIES,
    PODDISRUPTIONBUDGETS,
    Resource,
)
from perennial.modeldeployment.children import all_pods, beside
from perennial.modeldeployment.pod import PORT_NAME
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import COMPANIONS, Snapshot
from perennial.plan import Action, Apply, Body, Delete, Patch

# What Kubernetes scales by when nothing is said. It is said, so that another's change of it is undone.
_CPU: Body = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
# One of many, and another one at every look.
_POD = re.compile(r" of Pod \S+")


def companions(scene: Scene) -> Iterator[Action]:
    """Each is made, or goes when it is not asked for any more. Who may call is first: a refusal ends a plan."""
    seen = scene.seen
    for resource, field in COMPANIONS.items():
        asked, there = getattr(scene.spec, field), seen.companions.get(resource)
        if asked is not None:
            spec = _BUILDERS[resource](seen, asked)
            intent = beside(seen, resource, seen.name, spec)
            if resource == INGRESSES:
                # Its class may be the cluster's choice, and its certificates somebody else's.
                yield Apply({**intent, "metadata": {**intent["metadata"], "annotations": asked.annotations}})
                continue
            yield Apply(intent, whole=True)
            # An apply leaves what it does not name, and the defaults of what it named before.
            left: Body = {key: None for key in (there or {}).get("spec", {}) if spec.get(key) is None}
            if there and left:
                yield Patch(resource, seen.namespace, seen.name, {"spec": left}, there["metadata"]["uid"])
        elif there and not there["metadata"].get("deletionTimestamp"):
            yield Delete(resource, seen.namespace, seen.name, there["metadata"]["uid"])


def unscaled(scene: Scene) -> Iterator[Said]:
    """That the autoscaler cannot do its work, in its own words."""
    autoscaler = scene.seen.companions.get(HORIZONTALPODAUTOSCALERS)
    if scene.spec.autoscaling is None or autoscaler is None:
        return
    conditions = (autoscaler.get("status") or {}).get("conditions")
    for type_ in ("AbleToScale", "ScalingActive"):
        found = find(conditions, type_)
        if found and found["status"] == "False":
            words = _POD.sub("", found.get("message", ""))
            yield Said("Autoscaling", False, found.get("reason") or type_, words)
            return


def _network_policy(seen: Snapshot, asked: Network) -> Body:
    callers = [*asked.allow_from]
    if seen.spec and seen.spec.golden:
        callers.append({"podSelector": {"matchLabels": {LABEL_GOLDEN: seen.name}}})
    if seen.spec and seen.spec.strategy.chosen.checked:
        callers.append({"podSelector": {"matchLabels": {LABEL_CHECK: seen.name}}})
    entry = {"from": callers, "ports": [{"port": PORT_NAME, "protocol": "TCP"}]}
    return {
        "podSelector": {"matchLabels": all_pods(seen)},
        "policyTypes": ["Ingress"],
        # An entry that is from nobody would let everybody in.
        "ingress": [entry] if callers else None,
    }


def _disruption_budget(seen: Snapshot, asked: Disruption) -> Body:
    return {
        "selector": {"matchLabels": all_pods(seen)},
        # They exclude each other: the one that is None is taken away if somebody wrote it.
        "minAvailable": asked.min_available,
        "maxUnavailable": asked.max_unavailable,
        # A pod that is not ready serves nobody, and would keep its node from being drained, for ever if it cannot load
        # its model.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def _autoscaler(seen: Snapshot, asked: Autoscaling) -> Body:
    target = {"apiVersion": MODELDEPLOYMENTS.api_version, "kind": MODELDEPLOYMENTS.kind, "name": seen.name}
    return {
        "scaleTargetRef": target,
        "minReplicas": asked.min_replicas,
        "maxReplicas": asked.max_replicas,
        "metrics": asked.metrics or [_CPU],
        "behavior": asked.behavior,
    }


def _ingress(seen: Snapshot, asked: Ingress) -> Body:
    backend: Body = {"service": {"name": seen.name, "port": {"name": PORT_NAME}}}
    http: Body = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    spec: Body = {"rules": [{"host": host, "http": http} for host in asked.hosts] or [{"http": http}]}
    if asked.class_name:
        spec["ingressClassName"] = asked.class_name
    if asked.tls_secret_name:
        hosts = {"hosts": asked.hosts} if asked.hosts else {}
        spec["tls"] = [{**hosts, "secretName": asked.tls_secret_name}]
    return spec


_BUILDERS: Mapping[Resource, Callable[[Snapshot, Any], Body]] = {
    NETWORKPOLICIES: _network_policy,
    PODDISRUPTIONBUDGETS: _disruption_budget,
    HORIZONTALPODAUTOSCALERS: _autoscaler,
    INGRESSES: _ingress,
}
