"""The pod of a revision."""

import json
from typing import Any

import pytest

from perennial.api.modeldeployment import ModelDeploymentSpec
from perennial.config import Config, ServingRuntime
from perennial.modeldeployment.pod import Unrenderable, pod_template
from perennial.modeldeployment.revision import Model
from perennial.plan import Body
from tests.unit.modeldeployment.world import CONFIG, digest

MODEL = Model("churn", 4, "s3://acme/churn/4", digest(4), "sklearn", None)
OWN = {"name": "mine", "image": "mine:1"}


def render(model: Model = MODEL, config: Config = CONFIG, **fields: Any) -> Body:
    spec = ModelDeploymentSpec.model_validate({"model": {"name": "churn"}, **fields})
    return pod_template("team", "shop", spec, model, "shop-0123456789", config)


def template(*containers: Body, **spec: Any) -> Body:
    return {"spec": {"containers": list(containers), **spec}}


def server(pod: Body) -> Body:
    return pod["spec"]["containers"][0]


def environment(container: Body) -> dict[str, str]:
    return {one["name"]: one.get("value") for one in container["env"]}


def test_the_server_is_told_what_it_serves() -> None:
    assert environment(server(render())) == {
        "PERENNIAL_MODEL_DIR": "/perennial/model",
        "PERENNIAL_MODEL_NAME": "churn",
        "PERENNIAL_MODEL_VERSION": "4",
        "PERENNIAL_MODEL_FORMAT": "sklearn",
        "PERENNIAL_REVISION": "shop-0123456789",
        "PERENNIAL_DEPLOYMENT": "shop",
    }
    assert server(render())["volumeMounts"] == [
        {"name": "perennial-model", "mountPath": "/perennial/model", "readOnly": True}
    ]


def test_the_model_is_fetched_first_and_checked() -> None:
    pod = render(template=template(initContainers=[{"name": "warm", "image": "x"}]))
    fetch, other = pod["spec"]["initContainers"]
    assert (fetch["name"], other["name"]) == ("fetch", "warm")
    assert fetch["args"] == ["fetch"]
    assert json.loads(environment(fetch)["PERENNIAL_TASK"]) == {
        "model": {"name": "churn", "uri": "s3://acme/churn/4", "digest": digest(4)},
        "target": "/perennial/model",
    }
    assert fetch["envFrom"] == [{"secretRef": {"name": "perennial-storage", "optional": True}}]
    assert {"name": "perennial-model", "emptyDir": {}} in pod["spec"]["volumes"]


def test_the_cache_of_the_node_is_asked_where_there_is_one() -> None:
    (fetch,) = render(config=CONFIG.model_copy(update={"model_cache": "http://cache.perennial.svc"}))["spec"][
        "initContainers"
    ]
    assert json.loads(environment(fetch)["PERENNIAL_TASK"])["cache"] == "http://cache.perennial.svc"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, {"preStop": {"sleep": {"seconds": 5}}}, id="five seconds"),
        pytest.param({"terminationGracePeriodSeconds": 3}, {"preStop": {"sleep": {"seconds": 2}}}, id="as there are"),
        pytest.param({"terminationGracePeriodSeconds": 1}, None, id="none to spare"),
        pytest.param({"terminationGracePeriodSeconds": None}, {"preStop": {"sleep": {"seconds": 5}}}, id="not said"),
        *(
            pytest.param({"terminationGracePeriodSeconds": wrong}, None, id=f"the API server refuses {wrong!r}")
            for wrong in ("60", 1.5, [], {})
        ),
    ],
)
def test_a_server_of_ones_own_goes_on_for_a_while(spec: Body, expected: Body | None) -> None:
    pod = render(template=template(OWN, **spec))
    assert server(pod).get("lifecycle") == expected


def test_how_a_server_ends_is_its_own_business_where_it_says_so() -> None:
    lifecycle = {"preStop": {"exec": {"command": ["sleep", "1"]}}}
    assert server(render(template=template(OWN | {"lifecycle": lifecycle})))["lifecycle"] == lifecycle
    assert "lifecycle" not in server(render()), "a preset"


def test_pods_are_spread_unless_the_template_says_how() -> None:
    keys = [one["topologyKey"] for one in render()["spec"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert render(template=template(topologySpreadConstraints=[]))["spec"]["topologySpreadConstraints"] == []


def test_files_outside_of_any_version_are_fetched_under_the_deployments_name() -> None:
    pod = render(Model.of_files("s3://acme/churn/notebook", digest(7), "sklearn"))
    assert json.loads(environment(pod["spec"]["initContainers"][0])["PERENNIAL_TASK"]) == {
        "model": {"name": "shop", "uri": "s3://acme/churn/notebook", "digest": digest(7)},
        "target": "/perennial/model",
    }
    assert environment(server(pod))["PERENNIAL_MODEL_NAME"] == "shop"


def test_a_claim_is_mounted_read_only_where_fetch_looks_for_it() -> None:
    pod = render(Model("churn", 4, "pvc://models/churn/4", digest(4), "sklearn", None))
    mounts = {mount["mountPath"]: mount for mount in pod["spec"]["initContainers"][0]["volumeMounts"]}
    assert mounts["/perennial-volumes/models"]["readOnly"] is True
    claims = [volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"]]
    assert {"claimName": "models"} in claims
    assert "/perennial-volumes/models" not in {mount["mountPath"] for mount in server(pod)["volumeMounts"]}


@pytest.mark.parametrize(
    ("of_version", "fields", "expected"),
    [(None, {}, "perennial-storage"), ("v", {}, "v"), ("v", {"storage": {"secretName": "s"}}, "s")],
)
def test_whose_credentials(of_version: str | None, fields: Body, expected: str) -> None:
    pod = render(Model("churn", 4, "s3://a/b", digest(4), "sklearn", of_version), **fields)
    assert pod["spec"]["initContainers"][0]["envFrom"][0]["secretRef"]["name"] == expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([], [{"name": "http", "containerPort": 8080}], id="none"),
        pytest.param([{"containerPort": 9000}], [{"name": "http", "containerPort": 9000}], id="unnamed"),
        pytest.param(
            [{"name": "grpc", "containerPort": 1}, {"name": "http", "containerPort": 2}],
            [{"name": "grpc", "containerPort": 1}, {"name": "http", "containerPort": 2}],
            id="named http",
        ),
        pytest.param(
            [{"name": "rest", "containerPort": 5}],
            [{"name": "rest", "containerPort": 5}, {"name": "http", "containerPort": 5}],
            id="another name",
        ),
    ],
)
def test_the_service_finds_the_port_by_name(ports: list[Body], expected: list[Body]) -> None:
    assert server(render(template=template(OWN | {"ports": ports})))["ports"] == expected


def test_the_template_is_laid_over_the_preset() -> None:
    pod = render(template=template({"name": "server", "env": [{"name": "A", "value": "1"}]}, OWN, nodeName="n"))
    assert [one["name"] for one in pod["spec"]["containers"]] == ["server", "mine"]
    assert server(pod)["image"] == "server:1"
    assert environment(server(pod))["A"] == "1"
    assert pod["spec"]["nodeName"] == "n"


def test_a_server_of_ones_own_replaces_the_automatic_preset() -> None:
    assert [one["name"] for one in render(template=template(OWN))["spec"]["containers"]] == ["mine"]
    named = render(template=template(OWN), runtime="sklearn")
    assert [one["name"] for one in named["spec"]["containers"]] == ["server", "mine"]


def test_a_format_that_no_preset_takes_needs_a_server_of_ones_own() -> None:
    torch = Model("churn", 4, "s3://a/b", digest(4), "torch", None)
    assert server(render(torch, template=template(OWN)))["image"] == "mine:1"
    with pytest.raises(Unrenderable, match="'torch'; there are: sklearn"):
        render(torch)


def test_the_first_preset_by_name_that_takes_the_format() -> None:
    runtimes = {
        name: ServingRuntime(formats=("sklearn",), template=template({"name": "server", "image": name}))
        for name in ("zeta", "alpha")
    }
    assert server(render(config=CONFIG.model_copy(update={"serving_runtimes": runtimes})))["image"] == "alpha"


def test_a_users_variable_cannot_replace_ours() -> None:
    lie = {"name": "server", "env": [{"name": "PERENNIAL_REVISION", "value": "other"}]}
    assert environment(server(render(template=template(lie))))["PERENNIAL_REVISION"] == "shop-0123456789"


def test_labels_are_ours_and_the_users() -> None:
    given_ = {"metadata": {"labels": {"team": "a", "perennial.dev/revision": "lie"}, "annotations": {"x": "y"}}}
    metadata = render(template=given_)["metadata"]
    assert metadata["labels"] == {
        "team": "a",
        "perennial.dev/owned": "true",
        "perennial.dev/modeldeployment": "shop",
        "perennial.dev/revision": "shop-0123456789",
        "perennial.dev/model": "churn",
        "perennial.dev/model-version": "4",
    }
    assert metadata["annotations"] == {"x": "y"}


def test_defaults_hold_where_the_template_says_nothing() -> None:
    spec = render()["spec"]
    assert spec["terminationGracePeriodSeconds"] == 60
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsUser"] == 65532
    said = render(
        template={
            "spec": {
                "terminationGracePeriodSeconds": 5,
                "serviceAccountName": "reader",
                "securityContext": {"runAsUser": 1},
            }
        }
    )["spec"]
    assert said["terminationGracePeriodSeconds"] == 5
    assert "automountServiceAccountToken" not in said
    assert said["securityContext"]["runAsUser"] == 1


def test_a_log_of_requests_is_taken_away_by_a_sidecar() -> None:
    log = {"uri": "pvc://logs/churn", "percent": 2.5, "columns": ["age", "ä"], "retention": "48h"}
    plain, pod = render(), render(requestLog=log | {"storage": {"secretName": "acme-s3"}})
    ship = pod["spec"]["initContainers"][-1]
    assert (ship["name"], ship["restartPolicy"], ship["args"]) == ("ship", "Always", ["ship"])
    assert ship["envFrom"] == [{"secretRef": {"name": "acme-s3"}}]
    assert json.loads(environment(ship)["PERENNIAL_TASK"]) == {
        "folder": "/perennial/requests",
        "uri": "pvc://logs/churn/team/shop",
        "keepSeconds": 172_800,
    }
    told = environment(server(pod)).items() - environment(server(plain)).items()
    assert dict(told) == {
        "PERENNIAL_REQUEST_LOG": "/perennial/requests",
        "PERENNIAL_REQUEST_LOG_PERCENT": "2.5",
        "PERENNIAL_REQUEST_LOG_COLUMNS": '["age", "\\u00e4"]',
    }
    requests = {"name": "perennial-requests", "mountPath": "/perennial/requests"}
    assert requests in server(pod)["volumeMounts"]
    assert requests in ship["volumeMounts"]
    assert {"name": "claim-logs", "mountPath": "/perennial-volumes/logs"} in ship["volumeMounts"]
    volumes = [one["name"] for one in pod["spec"]["volumes"]]
    assert volumes == ["perennial-model", "perennial-tmp", "perennial-requests", "claim-logs"]


def test_a_model_and_a_log_on_one_claim() -> None:
    model = Model("churn", 4, "pvc://data/churn/4", digest(4), "sklearn", None)
    pod = render(model, requestLog={"uri": "pvc://data/requests"})
    assert [one["name"] for one in pod["spec"]["volumes"]].count("claim-data") == 1
