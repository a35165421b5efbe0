"""What the spec asks for beside the pods: who may call, how many may be missing, how many serve, a way in."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perennial.api.companions import Disruption, Ingress, Network
from perennial.api.meta import LABEL_CHECK, LABEL_GOLDEN
from perennial.api.resources import (
    HORIZONTALPODAUTOSCALERS,
    INGRESSES,
    NETWORKPOLICIES,
    PODDISRUPTIONBUDGETS,
    Resource,
)
from perennial.modeldeployment.autoscaler import of_deployment
from perennial.modeldeployment.children import all_pods, beside, exactly
from perennial.modeldeployment.pod import PORT_NAME
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import COMPANIONS
from perennial.plan import Action, Apply, Body, Delete


def companions(scene: Scene) -> Iterator[Action]:
    """Each is made, or goes when it is not asked for any more. Who may call is first: a refusal ends a plan."""
    seen = scene.seen
    for resource, field in COMPANIONS.items():
        asked, there = getattr(scene.spec, field), seen.companions.get(resource)
        if asked is not None:
            intent = beside(seen, resource, seen.name, _BUILDERS[resource](scene, asked))
            if resource == INGRESSES:
                # Its class may be the cluster's choice, and its certificates somebody else's.
                yield Apply({**intent, "metadata": {**intent["metadata"], "annotations": asked.annotations}})
                continue
            yield from exactly(resource, intent, there)
        elif there and not there["metadata"].get("deletionTimestamp"):
            yield Delete(resource, seen.namespace, seen.name, there["metadata"]["uid"])


def _network_policy(scene: Scene, asked: Network) -> Body:
    seen = scene.seen
    callers = [*asked.allow_from]
    if seen.spec and seen.spec.golden:
        callers.append({"podSelector": {"matchLabels": {LABEL_GOLDEN: seen.name}}})
    gate = seen.spec.gate if seen.spec else None
    checked = seen.examined or (seen.spec and seen.spec.strategy.chosen.checked)
    if checked or (gate and gate.evaluation):
        callers.append({"podSelector": {"matchLabels": {LABEL_CHECK: seen.name}}})
    entry = {"from": callers, "ports": [{"port": PORT_NAME, "protocol": "TCP"}]}
    return {
        "podSelector": {"matchLabels": all_pods(seen)},
        "policyTypes": ["Ingress"],
        # An entry that is from nobody would let everybody in.
        "ingress": [entry] if callers else None,
    }


def _disruption_budget(scene: Scene, asked: Disruption) -> Body:
    return {
        "selector": {"matchLabels": all_pods(scene.seen)},
        # They exclude each other: the one that is None is taken away if somebody wrote it.
        "minAvailable": asked.min_available,
        "maxUnavailable": asked.max_unavailable,
        # A pod that is not ready serves nobody, and would keep its node from being drained, for ever if it cannot load
        # its model.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def _ingress(scene: Scene, asked: Ingress) -> Body:
    backend: Body = {"service": {"name": scene.seen.name, "port": {"name": PORT_NAME}}}
    http: Body = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    spec: Body = {"rules": [{"host": host, "http": http} for host in asked.hosts] or [{"http": http}]}
    if asked.class_name:
        spec["ingressClassName"] = asked.class_name
    if asked.tls_secret_name:
        hosts = {"hosts": asked.hosts} if asked.hosts else {}
        spec["tls"] = [{**hosts, "secretName": asked.tls_secret_name}]
    return spec


_BUILDERS: Mapping[Resource, Callable[[Scene, Any], Body]] = {
    NETWORKPOLICIES: _network_policy,
    PODDISRUPTIONBUDGETS: _disruption_budget,
    HORIZONTALPODAUTOSCALERS: of_deployment,
    INGRESSES: _ingress,
}
