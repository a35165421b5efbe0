"""Who says how many pods serve, where the spec asks an autoscaler: one for the deployment, which writes `replicas`, and
while a gateway shares the requests another one for the new revision, whose load says nothing about the stable one's."""

import re
from collections.abc import Iterator

from perennial.api.companions import Autoscaling
from perennial.api.conditions import Said, find
from perennial.api.resources import DEPLOYMENTS, HORIZONTALPODAUTOSCALERS, MODELDEPLOYMENTS, Resource
from perennial.modeldeployment.children import beside, exactly
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.plan import Action, Body, Delete

# One of many, and another one at every look.
_POD = re.compile(r" of Pod \S+")


def of_deployment(scene: Scene, asked: Autoscaling) -> Body:
    """The autoscaler that writes `replicas`."""
    least = asked.min_replicas
    if scene.scaled_apart:
        # The stable revision is asked less and less, and must be able to bear everything again at any time. What the
        # new one has been brought is what everything takes.
        now = scene.incoming if scene.handed_over else scene.stable
        least = min(max(least, scene.pods(scene.stable).wanted, scene.pods(now).wanted), asked.max_replicas)
    return _spec(asked, MODELDEPLOYMENTS, scene.seen.name, least, asked.measured)


def of_incoming(scene: Scene, least: int | None) -> Iterator[Action]:
    """The autoscaler of the revision that comes, with at least so many pods; None: it has none, or none any more."""
    seen, asked, name = scene.seen, scene.spec.autoscaling, preview_name(scene.seen.name)
    there = seen.autoscaler_of_incoming
    if least is not None and asked is not None and scene.incoming is not None:
        least = min(least, asked.max_replicas)
        spec = _spec(asked, DEPLOYMENTS, scene.incoming, least, asked.measured_of_pods)
        yield from exactly(HORIZONTALPODAUTOSCALERS, beside(seen, HORIZONTALPODAUTOSCALERS, name, spec), there)
    elif there and not there["metadata"].get("deletionTimestamp"):
        yield Delete(HORIZONTALPODAUTOSCALERS, seen.namespace, name, there["metadata"]["uid"])


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


def _spec(asked: Autoscaling, kind: Resource, name: str, least: int, metrics: list[Body]) -> Body:
    return {
        "scaleTargetRef": {"apiVersion": kind.api_version, "kind": kind.kind, "name": name},
        "minReplicas": least,
        "maxReplicas": asked.max_replicas,
        "metrics": metrics,
        "behavior": asked.behavior,
    }
