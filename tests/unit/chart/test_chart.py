"""What the chart renders for which values, and that it says what it has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import tools
from perennial.config import Config, Receiver, Retraining, Server, Storm
from perennial.server.formats import LOADERS

CHART = Path(__file__).parents[3] / "charts" / "perennial"
Objects = dict[tuple[str, str], dict[str, Any]]
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
CLUSTER_KINDS = {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def config(objects: Objects, name: str = "perennial") -> Config:
    return Config.model_validate(yaml.safe_load(objects["ConfigMap", name]["data"]["config.yaml"]))


def pod(objects: Objects, name: str = "perennial") -> dict[str, Any]:
    return dict(objects["Deployment", name]["spec"]["template"])


def test_the_defaults_are_the_operators_own(render: Any) -> None:
    rendered = config(render())
    assert rendered.defaults == Config().defaults
    assert rendered.images == Config().images
    assert rendered.training_runtimes == {}


def test_an_older_cluster_is_refused_and_a_newer_one_is_not(render: Any) -> None:
    oldest, newest = tools.EMULATED[0], list(tools.SERVED)[-1]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={oldest}.0-0"
    for version in (f"{oldest}.0-gke.100", f"{newest}.9", "1.99.0"):
        assert render(kubernetes=version)
    with pytest.raises(
        Exception, match=r"requires kubeVersion: >=1\S+ which is incompatible with Kubernetes v1\.30\.9"
    ):
        render(kubernetes="1.30.9")


def test_the_bundled_server_serves_what_it_reads_without_running_code(render: Any) -> None:
    runtime = config(render({"image": {"registry": "example.org", "tag": "7"}})).serving_runtimes["sklearn"]
    assert set(runtime.formats) == LOADERS.keys() - {"sklearn-pickle", "mlflow-pyfunc"}
    (server,) = runtime.template["spec"]["containers"]
    assert server["name"] == "server"
    assert server["image"] == "example.org/perennial/server:7"


def test_images_may_be_named_one_by_one(render: Any) -> None:
    reference = "example.org/agent@sha256:" + "0" * 64
    rendered = config(render({"image": {"overrides": {"agent": reference}}}))
    assert rendered.images.agent == reference
    assert rendered.images.server == "perennial/server:0.1.0"


def test_security_can_be_left_to_the_image(render: Any) -> None:
    values = {"defaults": {"podSecurity": {"runAsUser": None, "fsGroup": 0, "allowPrivilegeEscalation": True}}}
    security = config(render(values)).defaults.pod_security
    assert (security.run_as_user, security.run_as_group, security.fs_group) == (None, 65532, 0)
    assert security.allow_privilege_escalation is True


def test_presets_reach_the_operator(render: Any) -> None:
    container = {"name": "train", "image": "python:3.13-slim", "resources": {"requests": {"cpu": "1"}}}
    template = {"spec": {"containers": [container]}}
    rendered = config(render({"trainingRuntimes": {"python": {"template": template}}}))
    assert rendered.training_runtimes["python"].template == template


def test_prometheus_servers_reach_the_operator_with_what_is_mounted_for_them(render: Any) -> None:
    secret = {"name": "prometheus", "tokenKey": "token"}
    objects = render(
        {"prometheusServers": {"main": {"url": "https://p:9090", "secret": secret}, "b": {"url": "http://b"}}}
    )
    servers = config(objects).prometheus_servers
    token = "/etc/perennial-prometheus/main/token"
    assert servers["main"] == Server(url="https://p:9090", token_file=Path(token))
    assert servers["b"] == Server(url="http://b")
    spec = pod(objects)["spec"]
    assert {"name": "prometheus-main", "secret": {"secretName": "prometheus"}} in spec["volumes"]
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounts["prometheus-main"] == "/etc/perennial-prometheus/main"
    assert "prometheus-b" not in mounts


def test_receivers_reach_the_operator_with_what_is_mounted_for_them(render: Any) -> None:
    asked = {
        "oncall": {"form": "PagerDuty", "secret": {"name": "pagerduty", "routingKey": "key"}},
        "team": {"form": "Slack", "secret": {"name": "slack", "urlKey": "url"}, "text": '"$summary": see $run'},
        "bus": {
            "form": "CloudEvents",
            "url": "https://bus/in",
            "secret": {"name": "bus", "tokenKey": "t", "caKey": "c"},
        },
    }
    objects = render({"receivers": asked})
    receivers, mounted = config(objects).receivers, Path("/etc/perennial-receiver")
    assert receivers["oncall"] == Receiver(form="PagerDuty", key_file=mounted / "oncall" / "key")
    assert receivers["team"] == Receiver(form="Slack", url_file=mounted / "team" / "url", text='"$summary": see $run')
    token, ca = mounted / "bus" / "t", mounted / "bus" / "c"
    assert receivers["bus"] == Receiver(form="CloudEvents", url="https://bus/in", token_file=token, ca_file=ca)
    spec = pod(objects)["spec"]
    assert {"name": "receiver-oncall", "secret": {"secretName": "pagerduty"}} in spec["volumes"]
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounts["receiver-oncall"] == str(mounted / "oncall")
    assert config(render({})).receivers == {}


def test_gateways_that_copy_requests_reach_the_operator(render: Any) -> None:
    assert config(render({"mirroringGateways": ["acme.dev/gateway"]})).mirroring_gateways == ("acme.dev/gateway",)
    assert config(render({})).mirroring_gateways == ()


def test_mlflow_servers_reach_the_operator_with_what_is_mounted_for_them(render: Any) -> None:
    secret = {"name": "mlflow", "tokenKey": "token"}
    objects = render({"mlflowServers": {"default": {"url": "http://mlflow:5000", "secret": secret}}})
    folder = Path("/etc/perennial-mlflow/default")
    assert config(objects).mlflow_servers == {"default": Server(url="http://mlflow:5000", token_file=folder / "token")}
    assert {"name": "mlflow-default", "secret": {"secretName": "mlflow"}} in pod(objects)["spec"]["volumes"]


def test_alerts_and_the_dashboard_are_as_they_are_in_their_files(render: Any) -> None:
    files = CHART / "files"
    labels = {"prometheusRule": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}}}
    objects = render({**labels, "dashboard": {"enabled": True}})
    rules, dashboard = objects["PrometheusRule", "perennial"], objects["ConfigMap", "perennial-dashboard"]
    assert rules["spec"] == yaml.safe_load((files / "rules.yaml").read_text())
    assert rules["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert json.loads(dashboard["data"]["perennial.json"]) == json.loads((files / "dashboard.json").read_text())
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert ("ConfigMap", "perennial-dashboard") not in render({})


def test_what_all_policies_share_reaches_the_operator(render: Any) -> None:
    assert config(render({})).retraining == Retraining(storm=Storm(policies=10, within="10m", hold="1h"))
    people = {"oncall": {"form": "CloudEvents", "url": "https://bus"}}
    storm = {"policies": 50, "within": "5m", "hold": "30m", "receivers": ["oncall"]}
    asked = {"retraining": {"maxConcurrent": 7, "jitter": "5m", "storm": storm}, "receivers": people}
    expected = Storm(policies=50, within="5m", hold="30m", receivers=("oncall",))
    assert config(render(asked)).retraining == Retraining(max_concurrent=7, jitter="5m", storm=expected)
    assert config(render({"retraining": {"storm": {"enabled": False}}})).retraining == Retraining()


def test_each_node_may_have_a_cache_and_pods_find_that_of_theirs(render: Any) -> None:
    assert ("DaemonSet", "perennial-model-cache") not in render({})
    objects = render({"modelCache": {"enabled": True, "size": "1Ti", "nodeSelector": {"pool": "gpu"}}})
    service = objects["Service", "perennial-model-cache"]
    daemons = objects["DaemonSet", "perennial-model-cache"]
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    labels = daemons["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == daemons["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"].items() <= labels.items()
    operators = objects["Service", "perennial"]["spec"]["selector"]
    assert not operators.items() <= labels.items(), "nobody reports metrics to it"
    spec = daemons["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert "--size=1Ti" in spec["containers"][0]["args"]
    namespace = service["metadata"]["namespace"]
    assert config(objects).model_cache == f"http://perennial-model-cache.{namespace}.svc"


def test_webhooks_reach_the_operator_with_what_is_mounted_for_them(render: Any) -> None:
    secret = {"name": "truth", "tokenKey": "token", "caKey": "ca.crt"}
    objects = render({"webhooks": {"truth": {"url": "https://truth.acme.dev/judge", "secret": secret}}})
    folder = Path("/etc/perennial-webhook/truth")
    expected = Server(url="https://truth.acme.dev/judge", token_file=folder / "token", ca_file=folder / "ca.crt")
    assert config(objects).webhooks == {"truth": expected}
    spec = pod(objects)["spec"]
    assert {"name": "webhook-truth", "secret": {"secretName": "truth"}} in spec["volumes"]
    assert {"name": "webhook-truth", "mountPath": str(folder), "readOnly": True} in spec["containers"][0][
        "volumeMounts"
    ]


def test_a_changed_configuration_rolls_the_pods(render: Any) -> None:
    def checksum(values: dict[str, Any]) -> str:
        return str(pod(render(values))["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({"replicas": 3})
    assert checksum({}) != checksum({"defaults": {"output": "s3://acme/models"}})


def test_the_operator_runs_restricted(render: Any) -> None:
    spec = pod(render())["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_its_rights_have_no_wildcard_and_no_secret(render: Any) -> None:
    objects = render()
    rules = [rule for (kind, _), body in objects.items() if kind in ("ClusterRole", "Role") for rule in body["rules"]]
    for rule in rules:
        named = {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        assert not named & {"*", "secrets", "impersonate", "escalate", "bind"}, rule


def test_definitions_are_kept_at_uninstall_and_can_be_left_out(render: Any) -> None:
    definitions = [body for (kind, _), body in render().items() if kind == "CustomResourceDefinition"]
    assert len(definitions) == len(list((CHART / "files" / "crds").iterdir()))
    assert all(body["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for body in definitions)
    assert not any(kind == "CustomResourceDefinition" for kind, _ in render({"crds": {"enabled": False}}))


def test_two_releases_share_no_object_of_the_cluster(render: Any) -> None:
    second = {"crds": {"enabled": False}, "policies": {"enabled": False}}
    one = {key for key in render() if key[0] in CLUSTER_KINDS}
    for other in (render(second, namespace="other"), render(second, release="other")):
        assert one
        assert not one & {key for key in other if key[0] in CLUSTER_KINDS}


NAMESPACED = {"scope": "Namespaced"}


def test_into_one_namespace_nothing_is_made_outside_of_it(render: Any) -> None:
    objects = render({**NAMESPACED, "serviceMonitor": {"enabled": True}, "networkPolicy": {"enabled": True}})
    assert {body["metadata"].get("namespace") for body in objects.values()} == {"system"}
    assert not {kind for kind, _ in objects} & {*CLUSTER_KINDS, "CustomResourceDefinition"}
    (container,) = pod(objects)["spec"]["containers"]
    assert "--scope=Namespaced" in container["args"]


def test_who_is_to_install_into_one_namespace_can_be_given_just_what_its_operator_may(render: Any) -> None:
    operates = render()["ClusterRole", "system-perennial-operate"]
    assert not any(label.startswith("rbac.") for label in operates["metadata"]["labels"])
    assert operates["rules"] == render(NAMESPACED)["Role", "perennial"]["rules"]


def test_in_each_namespace_an_operator_may_the_same_in_both_scopes(render: Any) -> None:
    of_the_cluster = render()["ClusterRole", "system-perennial"]["rules"]
    of_one = render(NAMESPACED)["Role", "perennial"]["rules"]
    assert [rule["resources"] for rule in of_the_cluster if rule not in of_one] == [
        ["tokenreviews"],
        ["subjectaccessreviews"],
    ]


def test_two_releases_that_serve_one_namespace_take_turns(render: Any) -> None:
    for release, name in (("perennial", "perennial"), ("trial", "trial-perennial")):
        objects = render(NAMESPACED, release=release)
        (container,) = pod(objects, name)["spec"]["containers"]
        assert "--lease=perennial-operator" in container["args"]
        named = [rule.get("resourceNames") for rule in objects["Role", name]["rules"]]
        assert ["perennial-operator"] in named


def test_a_lease_is_the_releases_own(render: Any) -> None:
    objects = render(release="trial")
    (container,) = pod(objects, "trial-perennial")["spec"]["containers"]
    assert "--lease=trial-perennial" in container["args"]
    named = [rule.get("resourceNames") for rule in objects["Role", "trial-perennial"]["rules"]]
    assert ["trial-perennial"] in named


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"serviceMonitor": {"enabled": True}}, {"ServiceMonitor"}),
        ({"prometheusRule": {"enabled": True}}, {"PrometheusRule"}),
        ({"networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]}}, {"NetworkPolicy"}),
    ],
)
def test_what_is_off_can_be_switched_on(render: Any, values: dict[str, Any], kinds: set[str]) -> None:
    def shown(values: dict[str, Any]) -> set[str]:
        return {kind for kind, _ in render(values)}

    assert shown(values) - shown({}) == kinds


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"policies": {"enabled": False}}, {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}),
        ({"podDisruptionBudget": {"enabled": False}}, {"PodDisruptionBudget"}),
        ({"serviceAccount": {"create": False}}, {"ServiceAccount"}),
        ({"rbac": {"create": False}}, {"ClusterRoleBinding", "Role", "RoleBinding"}),
    ],
)
def test_what_is_on_can_be_switched_off(render: Any, values: dict[str, Any], kinds: set[str]) -> None:
    def shown(values: dict[str, Any]) -> set[str]:
        return {kind for kind, _ in render(values)}

    assert shown({}) - shown(values) == kinds


def test_who_must_be_allowed_to_create_pods_can_be_said(render: Any) -> None:
    name = ("ValidatingAdmissionPolicy", "system-perennial-pod-creation")
    exempt = {"policies": {"podCreation": {"exempt": ['the "argo" account']}}}
    for values, names in (
        ({}, ["system:serviceaccount:system:perennial"]),
        (exempt, ["system:serviceaccount:system:perennial", 'the "argo" account']),
    ):
        asked = render(values)[name]["spec"]["matchConditions"][0]["expression"]
        assert asked == f"!(request.userInfo.username in {json.dumps(names, separators=(',', ':'))})"
    assert name not in render({"policies": {"podCreation": {"enabled": False}}})


def test_where_the_pods_run_can_be_said(render: Any) -> None:
    values = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
        "affinity": {"nodeAffinity": {}},
        "image": {"pullSecrets": ["registry"]},
        "ingest": {"tls": {"existingSecret": "ingest-tls"}},
    }
    spec = pod(render(values))["spec"]
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["affinity"] == {"nodeAffinity": {}}
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"name": "tls", "secret": {"secretName": "ingest-tls"}} in spec["volumes"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 3}, "replica"),
        ({"mirroringGateways": ["traefik"]}, "mirroringGateways"),
        ({"modelCache": {"size": "10GB"}}, "modelCache"),
        ({"retraining": {"maxConcurrent": 0}}, "maxConcurrent"),
        ({"retraining": {"storm": {"hold": "an hour"}}}, "hold"),
        ({"scope": "Namespace"}, "scope"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"defaults": {"output": "gs://acme"}}, "output"),
        ({"servingRuntimes": {"triton": {"formats": ["onnx"]}}}, "template"),
        ({"prometheusServers": {"main": {"url": "http://user:password@p"}}}, "url"),
        ({"receivers": {"team": {"form": "Email"}}}, "form"),
        ({"receivers": {"team": {"form": "Slack", "url": "http://hooks/x#y"}}}, "url"),
        ({"trainingRuntimes": {"My Python": {"template": {}}}}, "My Python"),
    ],
)
def test_a_wrong_value_is_named(render: Any, values: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        render(values)


RESOURCES = {"resources", "defaults.agentResources", "modelCache.resources"}


def leaves(values: dict[str, Any], path: str = "") -> set[str]:
    """Paths of values; what is a map of free keys counts as one."""
    free = RESOURCES | {
        "trainingRuntimes",
        "servingRuntimes",
        "prometheusServers",
        "webhooks",
        "receivers",
    }
    found = set()
    for key, value in values.items():
        here = f"{path}{key}"
        found |= leaves(value, f"{here}.") if isinstance(value, dict) and value and here not in free else {here}
    return found


def test_the_readme_names_every_value_and_no_other() -> None:
    named = set(re.findall(r"^\| `([a-zA-Z.]+)` \| ", (CHART / "README.md").read_text(), re.MULTILINE))
    assert named - {"view", "edit", "admin"} == leaves(DEFAULTS)


def test_the_schema_knows_every_value_and_no_other() -> None:
    def known(schema: dict[str, Any], path: str = "") -> set[str]:
        found = set()
        for key, child in schema["properties"].items():
            here = f"{path}{key}"
            closed = child.get("additionalProperties") is False and here not in RESOURCES
            found |= known(child, f"{here}.") if closed and "properties" in child else {here}
        return found

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert known(schema) - {"global"} == leaves(DEFAULTS)
