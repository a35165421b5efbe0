"""What is made beside the pods, when it goes, and what is said of an autoscaler that cannot scale."""

from typing import Any

import pytest

from perennial.api.resources import (
    HORIZONTALPODAUTOSCALERS,
    INGRESSES,
    MODELDEPLOYMENTS,
    NETWORKPOLICIES,
    PODDISRUPTIONBUDGETS,
    Resource,
)
from perennial.modeldeployment import CONTROLLER
from perennial.plan import Apply, Body, Delete, Patch
from perennial.runtime.merge import shows
from perennial.view import Refusal
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version

PODS = {"matchLabels": {"perennial.dev/modeldeployment": NAME}}
TEAM = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
QUEUE = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}}
TARGET = {"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment", "name": NAME}
SLOW = {"scaleDown": {"stabilizationWindowSeconds": 600}}
ALL: Body = {
    "autoscaling": {"maxReplicas": 3},
    "disruption": {"maxUnavailable": 1},
    "network": {"allowFrom": [TEAM]},
    "ingress": {"hosts": ["churn.acme.dev"]},
}
KINDS = (NETWORKPOLICIES, PODDISRUPTIONBUDGETS, HORIZONTALPODAUTOSCALERS, INGRESSES)
HTTP = {
    "paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": NAME, "port": {"name": "http"}}}}]
}


@pytest.mark.parametrize(
    ("field", "asked", "resource", "expected"),
    [
        pytest.param(
            "network",
            {"allowFrom": [TEAM]},
            NETWORKPOLICIES,
            {
                "podSelector": PODS,
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [TEAM], "ports": [{"port": "http", "protocol": "TCP"}]}],
            },
            id="some may call the port that serves",
        ),
        pytest.param(
            "network",
            {"allowFrom": []},
            NETWORKPOLICIES,
            {"podSelector": PODS, "policyTypes": ["Ingress"]},
            id="nobody may call",
        ),
        pytest.param(
            "disruption",
            {"minAvailable": "50%"},
            PODDISRUPTIONBUDGETS,
            {"selector": PODS, "minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"},
            id="so many must stay",
        ),
        pytest.param(
            "disruption",
            {"maxUnavailable": 0},
            PODDISRUPTIONBUDGETS,
            {"selector": PODS, "maxUnavailable": 0, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
            id="none may go",
        ),
        pytest.param(
            "autoscaling",
            {"maxReplicas": 3},
            HORIZONTALPODAUTOSCALERS,
            {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 3, "metrics": [CPU]},
            id="by the CPU where nothing is said",
        ),
        pytest.param(
            "autoscaling",
            {"minReplicas": 2, "maxReplicas": 3, "metrics": [QUEUE], "behavior": SLOW},
            HORIZONTALPODAUTOSCALERS,
            {"scaleTargetRef": TARGET, "minReplicas": 2, "maxReplicas": 3, "metrics": [QUEUE], "behavior": SLOW},
            id="by what is said",
        ),
        pytest.param("ingress", {}, INGRESSES, {"rules": [{"http": HTTP}]}, id="any host, of the cluster's class"),
        pytest.param(
            "ingress",
            {"className": "nginx", "hosts": ["a.dev", "b.dev"], "tlsSecretName": "cert"},
            INGRESSES,
            {
                "ingressClassName": "nginx",
                "rules": [{"host": "a.dev", "http": HTTP}, {"host": "b.dev", "http": HTTP}],
                "tls": [{"hosts": ["a.dev", "b.dev"], "secretName": "cert"}],
            },
            id="some hosts, with a certificate",
        ),
    ],
)
def test_what_is_made_of_a_field(field: str, asked: Body, resource: Resource, expected: Body) -> None:
    world = World(a_version(1), **{field: asked})
    world.settle()
    made = world.objects[resource, NAME]
    assert made["spec"] == expected
    assert made["metadata"]["labels"] == {"perennial.dev/owned": "true", "perennial.dev/modeldeployment": NAME}
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelDeployment", "mdep", True)
    assert [kind for kind in KINDS if (kind, NAME) in world.objects] == [resource]


def test_they_are_there_without_a_version_and_nothing_is_written_again() -> None:
    world = World(**ALL)
    world.settle()
    assert {kind for kind, name in world.objects if name == NAME} >= set(KINDS)
    writes = len(world.writes)
    world.pass_time(3600)
    world.reconcile()
    assert len(world.writes) == writes


def test_an_edit_of_the_field_is_followed() -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.change(autoscaling={"maxReplicas": 9}, disruption={"minAvailable": 2}, network={"allowFrom": []})
    world.settle()
    assert world.objects[HORIZONTALPODAUTOSCALERS, NAME]["spec"]["maxReplicas"] == 9
    assert world.objects[PODDISRUPTIONBUDGETS, NAME]["spec"].get("maxUnavailable") is None
    assert "ingress" not in world.objects[NETWORKPOLICIES, NAME]["spec"]


def test_what_an_apply_leaves_is_taken_away() -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.objects[HORIZONTALPODAUTOSCALERS, NAME]["spec"]["behavior"] = SLOW
    world.objects[NETWORKPOLICIES, NAME]["spec"]["egress"] = [{}]
    actions = [action for action in world.plan().actions if isinstance(action, Patch)]
    assert [(one.resource, one.patch, one.uid) for one in actions] == [
        (NETWORKPOLICIES, {"spec": {"egress": None}}, f"uid-{NAME}"),
        (HORIZONTALPODAUTOSCALERS, {"spec": {"behavior": None}}, f"uid-{NAME}"),
    ]


def test_what_others_add_to_an_ingress_stays() -> None:
    world = World(a_version(1), ingress={"annotations": {"cert-manager.io/issuer": "acme"}})
    world.settle()
    made = world.objects[INGRESSES, NAME]
    assert made["metadata"]["annotations"] == {"cert-manager.io/issuer": "acme"}
    made["spec"] |= {"ingressClassName": "default", "tls": [{"secretName": "theirs"}]}
    (applied,) = [one for one in world.plan().actions if isinstance(one, Apply) and one.body["kind"] == "Ingress"]
    assert not applied.whole
    assert shows(made, applied.body)
    assert not any(isinstance(one, Patch) for one in world.plan().actions)


def test_an_autoscaler_has_the_replicas_to_itself() -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.change(replicas=3)
    world.settle()
    assert world.mdep["spec"]["replicas"] == 3
    assert world.replicas() == {world.stable: 3}
    assert not any(isinstance(write, Apply) and write.body["kind"] == MODELDEPLOYMENTS.kind for write in world.writes)


@pytest.mark.parametrize(
    ("field", "resource"), list(zip(("network", "disruption", "autoscaling", "ingress"), KINDS, strict=True))
)
def test_it_goes_with_its_field(field: str, resource: Resource) -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.change(**{field: None})
    world.settle()
    assert [kind for kind in KINDS if (kind, NAME) not in world.objects] == [resource]
    assert Delete(resource, NAMESPACE, NAME, f"uid-{NAME}") in world.writes


def test_what_goes_already_is_not_deleted_again() -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.objects[NETWORKPOLICIES, NAME]["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z"
    world.change(network=None)
    assert not any(isinstance(action, Delete) for action in world.plan().actions)


@pytest.mark.parametrize("owner", [None, "another"])
def test_what_somebody_else_owns_is_never_deleted(owner: str | None) -> None:
    world = World(a_version(1))
    references = [{"kind": "ModelDeployment", "name": NAME, "uid": owner, "controller": True}] if owner else []
    for kind in KINDS:
        metadata = {"name": NAME, "namespace": NAMESPACE, "uid": "theirs", "ownerReferences": references}
        world.put({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": {}})
    world.settle()
    assert not any(isinstance(write, Delete) for write in world.writes)


def test_a_refusal_names_the_field_and_stops_no_rollout() -> None:
    world = World(a_version(1))
    world.settle()
    words = "spec.metrics[0].type: Required value"
    world.refused[NAME] = Refusal(HORIZONTALPODAUTOSCALERS, NAME, "Invalid", words)
    world.change(autoscaling={"maxReplicas": 3, "metrics": [{}]})
    world.put(a_version(2))
    world.settle()
    assert world.serves == 2
    assert world.condition("Stalled") == ("True", "Invalid")
    assert world.message("Ready") == f"spec.autoscaling: HorizontalPodAutoscaler {NAME}: {words}"
    assert world.condition("Available") == ("True", "Serving")
    world.refused.clear()
    world.change(autoscaling={"maxReplicas": 3})
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")


def a_condition(type_: str, status: str, **words: str) -> Body:
    return {"type": type_, "status": status, "lastTransitionTime": "2026-11-20T12:00:00Z", **words}


NO_REQUEST = {"reason": "FailedGetResourceMetric", "message": "missing request for cpu in container server of Pod a-1"}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param([], None, id="nothing is known yet"),
        pytest.param([a_condition("AbleToScale", "True"), a_condition("ScalingActive", "True")], None, id="it scales"),
        pytest.param(
            [a_condition("ScalingLimited", "False", reason="DesiredWithinRange")], None, id="within its range"
        ),
        pytest.param(
            [a_condition("AbleToScale", "True"), a_condition("ScalingActive", "False", **NO_REQUEST)],
            ("FailedGetResourceMetric", "missing request for cpu in container server"),
            id="it does not know how busy they are; which pod is named changes with every look",
        ),
        pytest.param(
            [a_condition("AbleToScale", "False", reason="FailedGetScale", message="no scale")],
            ("FailedGetScale", "no scale"),
            id="it cannot read the scale",
        ),
        pytest.param([a_condition("AbleToScale", "False")], ("AbleToScale", ""), id="it says no more"),
    ],
)
def test_an_autoscaler_that_cannot_scale_is_said(conditions: list[Any], expected: tuple[str, str] | None) -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    world.objects[HORIZONTALPODAUTOSCALERS, NAME]["status"] = {"conditions": conditions}
    world.settle()
    said = {one["type"]: one for one in world.status["conditions"]}.get("Autoscaling")
    assert (said and (said["status"], said["reason"], said["message"])) == (expected and ("False", *expected))
    assert world.condition("Ready") == ("True", "Serving")
    world.change(autoscaling=None)
    world.settle()
    assert "Autoscaling" not in str(world.status["conditions"])


def test_what_is_told_of_them_concerns_their_owner() -> None:
    world = World(a_version(1), **ALL)
    world.settle()
    for kind in KINDS:
        assert list(CONTROLLER.watches[kind](world, world.objects[kind, NAME])) == [(NAMESPACE, NAME)]
