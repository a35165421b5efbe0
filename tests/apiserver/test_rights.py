"""The operator as the chart deploys it: its arguments, its configuration, and no rights but those of its account."""

import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import (
    DEPLOYMENTS,
    HTTPROUTES,
    JOBS,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    PODS,
    PVCS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.modeldeployment.snapshot import COMPANIONS
from perennial.plan import Body
from tests.apiserver.charts import CHART, SYSTEM, Deployed, helm
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import USER, apply_gateway_kinds, eventually
from tests.apiserver.space import Space


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("rights")
    users = {USER: ["nobody"]}
    with ApiServer(folder, users=users, audit=True, controller_manager=True) as server:
        apply_gateway_kinds(server)
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, "--create-namespace")
        yield server


@pytest.fixture(scope="module")
def operator(server: ApiServer) -> Iterator[Deployed]:
    with Deployed(server, server.folder) as operator:
        operator.started()
        yield operator


def test_the_loop_needs_no_right_that_the_chart_does_not_give(server: ApiServer, operator: Deployed) -> None:
    space = Space(server)
    kubelet = Kubelet(space)

    def make(resource: Resource, name: str, spec: Body, **metadata: Any) -> None:
        about = {"name": name, "namespace": space.name, **metadata}
        space.create({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": about, "spec": spec})

    # On a claim that the operator makes; and it goes when its time has come.
    space.train("churn-first", output={}, ttlSecondsAfterFinished=1)
    space.there(PVCS, "perennial-models")
    kubelet.runs("churn-first")
    kubelet.publishes("churn-first", uri="pvc://perennial-models/churn", metrics={"accuracy": 0.9})
    space.there(MODELVERSIONS, "churn-1")
    eventually(lambda: space.get(TRAININGJOBS, "churn-first") is None)

    beside = {
        "autoscaling": {"maxReplicas": 2},
        "disruption": {"maxUnavailable": 1},
        "network": {"allowFrom": []},
        "ingress": {},
        "route": {"parentRefs": [{"name": "public"}]},
    }
    make(MODELDEPLOYMENTS, "churn", {"model": {"name": "churn"}, **beside})
    space.there(SERVICES, "churn")
    made = (*COMPANIONS, HTTPROUTES)
    for resource in made:
        space.there(resource, "churn")
    space.patch(MODELDEPLOYMENTS, "churn", {"spec": {"route": {"hostnames": ["a.dev"]}}})
    eventually(lambda: "hostnames" in space.there(HTTPROUTES, "churn")["spec"])
    space.patch(MODELDEPLOYMENTS, "churn", {"spec": dict.fromkeys(beside)})
    eventually(lambda: not any(space.get(resource, "churn") for resource in made))
    eventually(lambda: space.every(DEPLOYMENTS))

    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
    training = {"model": {"name": "churn"}, "template": {"spec": {"containers": [container]}}}
    policy = {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": training}}
    make(RETRAINPOLICIES, "churn", policy, annotations={ANNOTATION_RUN_REQUEST: "by-hand"})
    eventually(lambda: space.every(TRAININGJOBS))
    eventually(lambda: space.every(JOBS))

    space.train("held", suspend=True)
    space.reaches("held", "Suspended")
    space.edit("held", suspend=False)
    space.reaches("held", "Pending")
    assert operator.forbidden() == []


def test_its_pods_meet_the_restricted_standard(server: ApiServer) -> None:
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    server.request("PATCH", f"/api/v1/namespaces/{SYSTEM}", labels, "application/merge-patch+json")
    template = server.request("GET", DEPLOYMENTS.path(SYSTEM, "perennial"))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "restricted"}, "spec": template["spec"]}
    server.request("POST", PODS.path(SYSTEM) + "?dryRun=All", pod)
    pod["spec"]["containers"][0].pop("securityContext")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        server.request("POST", PODS.path(SYSTEM) + "?dryRun=All", pod)
