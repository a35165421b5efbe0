"""What a ModelDeployment has beside its pods, on a real API server with Kubernetes' own autoscaler."""

from pathlib import Path
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
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "autoscaling.yaml"
PODS = {"matchLabels": {"perennial.dev/modeldeployment": "churn"}}
TEAM = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
FIELDS: dict[Resource, str] = {
    NETWORKPOLICIES: "network",
    PODDISRUPTIONBUDGETS: "disruption",
    HORIZONTALPODAUTOSCALERS: "autoscaling",
    INGRESSES: "ingress",
}
ALL: Body = {
    "autoscaling": {"maxReplicas": 3},
    "disruption": {"maxUnavailable": 1},
    "network": {"allowFrom": [TEAM]},
    "ingress": {"hosts": ["churn.acme.dev"]},
}
each = pytest.mark.parametrize("resource", FIELDS, ids=FIELDS.values())


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def spec_of(serving: Serving, resource: Resource) -> Body:
    spec: Body = serving.space.there(resource, "churn")["spec"]
    return spec


def test_all_three_are_made_once_and_then_nothing_is_written(serving: Serving, perennial: Perennial) -> None:
    serving.serve_first(**ALL)
    rule = {"from": [TEAM], "ports": [{"port": "http", "protocol": "TCP"}]}
    assert spec_of(serving, NETWORKPOLICIES) == {"podSelector": PODS, "policyTypes": ["Ingress"], "ingress": [rule]}
    budget = {"selector": PODS, "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    assert spec_of(serving, PODDISRUPTIONBUDGETS) == budget
    autoscaler = spec_of(serving, HORIZONTALPODAUTOSCALERS)
    assert (autoscaler["scaleTargetRef"]["kind"], autoscaler["maxReplicas"]) == ("ModelDeployment", 3)
    (way_in,) = spec_of(serving, INGRESSES)["rules"]
    assert way_in["host"] == "churn.acme.dev"
    serving.space.idle(5)
    perennial.kill()
    perennial.restart()
    perennial.started()
    # On a busy machine it still asks whether what is there is as it should be.
    serving.space.rests(3)
    asked = serving.space.requests()
    for resource in FIELDS:
        assert asked[f"patch {resource.plural}"] == 1


def test_what_the_server_made_of_it_is_not_written_again_after_a_restart(
    serving: Serving, perennial: Perennial
) -> None:
    slow = {"scaleDown": {"stabilizationWindowSeconds": 600}}
    serving.serve_first(autoscaling={"maxReplicas": 3, "behavior": slow})
    made = spec_of(serving, HORIZONTALPODAUTOSCALERS)
    assert made["behavior"]["scaleDown"] != slow["scaleDown"], "the server fills in the rest"
    for _ in range(2):
        perennial.kill()
        perennial.restart()
        perennial.started()
        serving.space.rests(3)
    assert serving.space.requests()["patch horizontalpodautoscalers"] == 1
    perennial.kill()
    serving.space.patch(HORIZONTALPODAUTOSCALERS, "churn", {"spec": {"maxReplicas": 9}})
    perennial.restart()
    eventually(lambda: spec_of(serving, HORIZONTALPODAUTOSCALERS) == made)


def test_edits_of_the_fields_are_followed(serving: Serving) -> None:
    serving.deploy(**ALL)
    for resource in FIELDS:
        serving.space.there(resource, "churn")
    slow = {"scaleDown": {"stabilizationWindowSeconds": 600}}
    serving.edit(
        autoscaling={"minReplicas": 2, "behavior": slow},
        disruption={"maxUnavailable": None, "minAvailable": "50%"},
        network={"allowFrom": []},
    )
    eventually(lambda: "ingress" not in spec_of(serving, NETWORKPOLICIES))
    eventually(lambda: spec_of(serving, PODDISRUPTIONBUDGETS).get("minAvailable") == "50%")
    assert "maxUnavailable" not in spec_of(serving, PODDISRUPTIONBUDGETS)
    eventually(lambda: spec_of(serving, HORIZONTALPODAUTOSCALERS)["minReplicas"] == 2)
    scale_down = spec_of(serving, HORIZONTALPODAUTOSCALERS)["behavior"]["scaleDown"]
    assert scale_down["stabilizationWindowSeconds"] == 600
    serving.edit(autoscaling={"behavior": None})
    eventually(lambda: "behavior" not in spec_of(serving, HORIZONTALPODAUTOSCALERS))


@pytest.mark.parametrize(
    ("resource", "edit"),
    [
        pytest.param(NETWORKPOLICIES, {"podSelector": {"matchLabels": {"app": "x"}}}, id="one more label of its pods"),
        pytest.param(
            NETWORKPOLICIES,
            {"ingress": [{"from": [TEAM | {"podSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}]},
            id="one more word on who may call",
        ),
        pytest.param(NETWORKPOLICIES, {"policyTypes": ["Ingress", "Egress"], "egress": [{}]}, id="one more policy"),
        pytest.param(PODDISRUPTIONBUDGETS, {"minAvailable": 2, "maxUnavailable": None}, id="the other limit"),
        pytest.param(PODDISRUPTIONBUDGETS, {"selector": {"matchLabels": {"app": "x"}}}, id="of no pod"),
        pytest.param(HORIZONTALPODAUTOSCALERS, {"maxReplicas": 9}, id="another bound"),
        pytest.param(INGRESSES, {"rules": [{"host": "theirs.dev"}]}, id="another host"),
        pytest.param(
            HORIZONTALPODAUTOSCALERS, {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}}, id="a brake of their own"
        ),
    ],
)
def test_what_others_change_is_put_right(serving: Serving, resource: Resource, edit: Body) -> None:
    serving.deploy(**ALL)
    before = spec_of(serving, resource)
    changed = serving.space.patch(resource, "churn", {"spec": edit})
    assert changed["spec"] != before
    eventually(lambda: spec_of(serving, resource) == before)
    serving.space.rests(3)


@each
def test_what_others_delete_or_hide_comes_back(serving: Serving, resource: Resource) -> None:
    serving.deploy(**ALL)
    made = serving.space.there(resource, "churn")["metadata"]
    # Without them it drops out of what the operator watches.
    serving.space.patch(resource, "churn", {"metadata": {"labels": dict.fromkeys(made["labels"])}})
    eventually(lambda: serving.space.there(resource, "churn")["metadata"].get("labels") == made["labels"])
    serving.space.delete(resource, "churn")
    eventually(lambda: serving.space.there(resource, "churn")["metadata"]["uid"] != made["uid"])


@each
def test_it_goes_with_its_field_and_with_its_owner(serving: Serving, resource: Resource) -> None:
    serving.deploy(**ALL)
    for one in FIELDS:
        serving.space.there(one, "churn")
    serving.edit(**{FIELDS[resource]: None})
    eventually(lambda: serving.space.get(resource, "churn") is None)
    eventually(lambda: serving.status["observedGeneration"] == 2)
    assert [one for one in FIELDS if serving.space.get(one, "churn") is None] == [resource]
    serving.space.idle(3)
    assert serving.space.requests()[f"delete {resource.plural}"] == 1
    serving.space.delete(MODELDEPLOYMENTS, "churn")
    eventually(lambda: not any(serving.space.get(one, "churn") for one in FIELDS), 30)


THEIRS: dict[Resource, Body] = {
    NETWORKPOLICIES: {"podSelector": {"matchLabels": {"app": "theirs"}}, "policyTypes": ["Egress"]},
    PODDISRUPTIONBUDGETS: {"selector": {"matchLabels": {"app": "theirs"}}, "minAvailable": 7},
    HORIZONTALPODAUTOSCALERS: {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"},
        "maxReplicas": 7,
    },
    INGRESSES: {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}},
}


@each
def test_one_of_somebody_else_is_not_touched(serving: Serving, resource: Resource) -> None:
    theirs = serving.space.make(resource, "churn", THEIRS[resource])
    serving.serve_first()
    serving.edit(**{FIELDS[resource]: ALL[FIELDS[resource]]})
    words = serving.says("Stalled", "True", "NameTaken")
    assert words.startswith(f"spec.{FIELDS[resource]}: {resource.kind} churn: ")
    serving.says("Available", "True", "Serving")
    serving.edit(**{FIELDS[resource]: None})
    serving.says("Ready", "True", "Serving")
    left = serving.space.there(resource, "churn")
    assert (left["spec"], left["metadata"]["uid"]) == (theirs["spec"], theirs["metadata"]["uid"])
    assert "annotations" not in left["metadata"]
    serving.edit(**{FIELDS[resource]: ALL[FIELDS[resource]]})
    serving.says("Stalled", "True", "NameTaken")
    serving.space.delete(resource, "churn")
    serving.says("Ready", "True", "Serving", 40)
    assert spec_of(serving, resource) != theirs["spec"]


CPU: Any = {"name": "cpu", "target": {"type": "Utilization", "averageUtilizatio": 80}}


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        pytest.param(
            {"autoscaling": {"maxReplicas": 2, "metrics": [{"type": "Resource"}]}},
            "Invalid",
            "spec.metrics[0].resource: Required value",
            id="something is missing",
        ),
        pytest.param(
            {"autoscaling": {"maxReplicas": 2, "metrics": [{"type": "Resource", "resource": CPU}]}},
            "BadRequest",
            ".spec.metrics[0].resource.target.averageUtilizatio: field not declared in schema",
            id="a typing mistake in a metric",
        ),
        pytest.param(
            {"network": {"allowFrom": [{"namespaceSelector": {"matchLabel": {"team": "web"}}}]}},
            "BadRequest",
            ".spec.ingress[0].from[0].namespaceSelector.matchLabel: field not declared in schema",
            id="a typing mistake that would let everybody in",
        ),
        pytest.param(
            {"network": {"allowFrom": [{}]}},
            "Invalid",
            "spec.ingress[0].from[0]: Required value: must specify a peer",
            id="nobody is named",
        ),
        pytest.param(
            {"ingress": {"annotations": {"-": "x"}}},
            "Invalid",
            "metadata.annotations: Invalid value",
            id="no name of an annotation",
        ),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words(serving: Serving, wrong: Body, reason: str, words: str) -> None:
    serving.serve_first()
    serving.edit(**wrong)
    said = serving.says("Stalled", "True", reason)
    (field,) = wrong
    assert said.startswith(f"spec.{field}: ")
    assert words in said
    serving.says("Available", "True", "Serving")
    serving.space.idle(3)
    serving.edit(**{field: None})
    serving.edit(**{field: ALL[field]})
    serving.says("Ready", "True", "Serving")
    assert eventually(lambda: any(serving.space.get(resource, "churn") for resource in FIELDS))


def test_the_autoscaler_scales_it_and_says_why_it_cannot(serving: Serving) -> None:
    revision = serving.serve_first(autoscaling={"minReplicas": 2, "maxReplicas": 3})
    eventually(lambda: serving.space.there(MODELDEPLOYMENTS, "churn")["spec"]["replicas"] == 2, 60)
    serving.ready(revision, 2)
    # Nothing measures pods here.
    said = serving.says("Autoscaling", "False", "FailedGetResourceMetric", 60)
    assert "unable to get metrics for resource cpu" in said
    serving.says("Ready", "True", "Serving")
    serving.edit(autoscaling=None)
    eventually(lambda: "Autoscaling" not in str(serving.status["conditions"]))
    assert serving.space.there(MODELDEPLOYMENTS, "churn")["spec"]["replicas"] == 2


def test_the_example_of_the_documentation(serving: Serving) -> None:
    serving.version(1)
    serving.space.server.kubectl("apply", "-n", serving.space.name, "-f", str(EXAMPLE))
    assert len(spec_of(serving, NETWORKPOLICIES)["ingress"][0]["from"]) == 2
    assert spec_of(serving, PODDISRUPTIONBUDGETS)["maxUnavailable"] == 1
    eventually(lambda: serving.space.there(MODELDEPLOYMENTS, "churn")["spec"]["replicas"] == 2, 60)
    serving.ready(serving.rolling(), 2)
    serving.says("Ready", "True", "Serving")
