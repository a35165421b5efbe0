"""The CustomResourceDefinitions on a real API server: words for every field, /scale, and what `kubectl get` shows."""

import json
import subprocess
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import MODELDEPLOYMENTS, TRAININGJOBS, Resource
from tests.apiserver.operators import eventually

MERGE = "application/merge-patch+json"


def make(server: ApiServer, namespace: str, resource: Resource, spec: dict[str, Any], status: dict[str, Any]) -> None:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "m"}, "spec": spec}
    server.request("POST", resource.path(namespace), body)
    server.request("PATCH", resource.path(namespace, "m", "status"), {"status": status}, MERGE)


def condition(type_: str, status: str, reason: str) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"
    return {"type": type_, "status": status, "reason": reason, "message": "words", "lastTransitionTime": at}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "trainingjob",
            "trainingjob.spec",
            "trainingjob.status",
            "trainingjob.spec.inputs",
            "trainingjob.spec.template",
        ),
        *("model", "model.status", "modelversion.spec", "modelversion.spec.retrain.cause", "modelversion.status"),
        *("modeldeployment.spec", "modeldeployment.spec.gate.metrics", "modeldeployment.status.rollout"),
        *("retrainpolicy.spec.triggers.metric", "retrainpolicy.spec.trainingJobTemplate.spec", "retrainpolicy.status"),
    ],
)
def test_kubectl_explain_has_words_for_every_field(kinds: ApiServer, path: str) -> None:
    def explained() -> str:
        try:
            return kinds.kubectl("explain", path, "--api-version=perennial.dev/v1alpha1")
        except subprocess.CalledProcessError:
            # New kinds are served before they are described.
            return ""

    told = eventually(explained)
    assert "FIELDS:" in told
    assert "<no description>" not in told


def test_a_modeldeployment_is_scaled_by_kubectl(kinds: ApiServer, namespace: str) -> None:
    status = {"selector": "perennial.dev/modeldeployment=m", "replicas": 1}
    make(kinds, namespace, MODELDEPLOYMENTS, {"model": {"name": "m"}}, status)
    kinds.kubectl("scale", "-n", namespace, "mdep/m", "--replicas=3")
    scale = kinds.request("GET", MODELDEPLOYMENTS.path(namespace, "m", "scale"))
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 1, "selector": "perennial.dev/modeldeployment=m"}


def test_kubectl_get_shows_what_goes_on_and_why(kinds: ApiServer, namespace: str) -> None:
    conditions = [condition("Running", "False", "Waiting"), condition("Reconciling", "True", "Unschedulable")]
    spec = {"model": {"name": "churn"}, "runtime": "python"}
    make(kinds, namespace, TRAININGJOBS, spec, {"phase": "Pending", "conditions": conditions})
    spec = {"model": {"name": "churn"}}
    make(kinds, namespace, MODELDEPLOYMENTS, spec, {"conditions": [condition("Ready", "False", "NoVersion")]})

    shown = kinds.kubectl("get", "perennial", "-n", namespace, "--no-headers").split()
    assert {"churn", "Pending", "Unschedulable"} <= set(shown)
    assert {"False", "NoVersion"} <= set(shown)
    assert "words" in kinds.kubectl("get", "tj", "-n", namespace, "-o", "wide")


def test_numbers_of_a_model_are_shown(kinds: ApiServer, namespace: str) -> None:
    record = {"apiVersion": TRAININGJOBS.api_version, "kind": "Model", "metadata": {"name": "churn"}}
    status = {"highestVersion": 7, "latestApproved": 6, "serving": "churn=6, churn-eu=5"}
    kinds.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(record | {"status": status}))
    assert kinds.kubectl("get", "models", "-n", namespace, "--no-headers").split()[:5] == [
        *("churn", "7", "6"),
        *("churn=6,", "churn-eu=5"),
    ]
