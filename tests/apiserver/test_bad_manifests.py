"""What a person is told who applies a manifest with a mistake, and that what the documentation shows is accepted."""

import copy
import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS, Resource, of

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.yaml"))

DIGEST = "sha256:" + "0" * 64
TRAIN = {"name": "train", "image": "example.org/train:1", "command": ["python", "train.py"]}
TRAINING = {"model": {"name": "churn"}, "template": {"spec": {"containers": [TRAIN]}}}

GOOD: dict[Resource, dict[str, Any]] = {
    TRAININGJOBS: {"metadata": {"name": "churn-1"}, "spec": TRAINING},
    MODELDEPLOYMENTS: {"metadata": {"name": "churn"}, "spec": {"model": {"name": "churn"}}},
    RETRAINPOLICIES: {
        "metadata": {"name": "churn"},
        "spec": {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": TRAINING},
            "triggers": [
                {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}},
                {"name": "nightly", "schedule": {"cron": "0 3 * * *"}},
            ],
        },
    },
    MODELVERSIONS: {
        "metadata": {"name": "churn-3"},
        "spec": {"model": "churn", "version": 3, "uri": "s3://acme/models/3", "digest": DIGEST, "format": "sklearn"},
    },
}
GONE = object()


def manifest(resource: Resource, changes: dict[str, Any]) -> dict[str, Any]:
    """The good manifest with the fields at these paths changed; list items are numbers in the path."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **copy.deepcopy(GOOD[resource])}
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdecimal() else part for part in path.split("."))
        place: Any = body
        for part in parents:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return body


def send(server: ApiServer, namespace: str, body: dict[str, Any]) -> str | None:
    """Create the object as `kubectl apply` does, strictly; the server's words when it refuses."""
    try:
        server.request("POST", of(body).path(namespace) + "?fieldValidation=Strict", body)
    except urllib.error.HTTPError as error:
        return str(json.load(error)["message"])
    return None


CONTAINERS = "spec.template.spec.containers"
TRAININGJOB = [
    ({"metadata.name": "x" * 53}, "metadata.name must have at most 52 characters"),
    ({"metadata.name": "churn.1"}, "metadata.name must have at most 52 characters, lower-case letters, digits and '-'"),
    ({"spec": GONE}, "spec: Required value"),
    ({"spec.model": GONE}, "spec.model: Required value"),
    ({"spec.model.name": "Churn"}, 'spec.model.name: Invalid value: "Churn": spec.model.name in body should match'),
    ({"spec.model.name": "c" * 41}, "spec.model.name: Too long: may not be more than 40"),
    ({"spec.model.format": "Sci Kit"}, "spec.model.format in body should match"),
    ({"spec.modell": {}}, 'unknown field "spec.modell"'),
    ({"spec.template": GONE}, "give spec.template with a training container, or spec.runtime"),
    ({f"{CONTAINERS}.0.command": GONE}, "the training container must say its `command`"),
    ({f"{CONTAINERS}.0.command": "python train.py"}, f"{CONTAINERS}[0].command: Invalid value"),
    ({f"{CONTAINERS}.0.name": GONE}, f"{CONTAINERS}[0].name: Required value"),
    (
        {f"{CONTAINERS}.0.env": [{"name": "EPOCHS", "value": 3}]},
        f"{CONTAINERS}[0].env[0].value in body must be of type string",
    ),
    (
        {CONTAINERS: [TRAIN | {"name": "a"}, TRAIN | {"name": "b"}]},
        "with several containers the training container must be named `train`",
    ),
    ({CONTAINERS: [TRAIN, TRAIN]}, f'{CONTAINERS}[1]: Duplicate value: {{"name":"train"}}'),
    (
        {"spec.inputs": [{"name": "data", "uri": "s3://a/b"}, {"name": "data", "uri": "s3://a/c"}]},
        'spec.inputs[1]: Duplicate value: {"name":"data"}',
    ),
    ({"spec.inputs": [{"name": "data", "uri": "gs://a/b"}]}, "spec.inputs[0].uri in body should match"),
    ({"spec.inputs": [{"name": "data", "uri": "pvc://My Claim/x"}]}, "spec.inputs[0].uri in body should"),
    (
        {"spec.inputs": [{"name": "data", "uri": "pvc:///x"}]},
        "a path on a volume claim is written pvc://<claim>/<path>",
    ),
    ({"spec.inputs": [{"name": "data", "uri": "pvc://claim/../x"}]}, "must not have the parts `.` and `..`"),
    ({"spec.inputs": [{"name": "data", "uri": "s3://a/b", "digest": "md5:1"}]}, "spec.inputs[0].digest in body should"),
    ({"spec.output.uri": "https://acme/models"}, "spec.output.uri in body should match"),
    (
        {"spec.output.mode": "external"},
        'spec.output.mode: Unsupported value: "external": supported values: "Managed", "External"',
    ),
    ({"spec.parameters": {str(i): i for i in range(129)}}, "spec.parameters: Too many: 129: must have at most 128"),
    ({"spec.storage": {}}, "spec.storage.secretName: Required value"),
    ({"spec.code": {"repository": "https://example.org"}}, "spec.code.revision: Required value"),
    ({"spec.backoffLimit": -1}, "spec.backoffLimit in body should be greater than or equal to 0"),
    (
        {"spec.distribution": {"framework": "mpi"}},
        'spec.distribution.framework: Unsupported value: "mpi": supported values: "torch", "jax"',
    ),
    ({"spec.distribution": {"nodes": 0}}, "spec.distribution.nodes in body should be greater than or equal to 1"),
    (
        {"spec.distribution": {"framework": "jax", "processesPerNode": 8}},
        'spec.distribution.processesPerNode: Invalid value: "object": only torchrun starts several processes on a node',
    ),
    (
        {"spec.distribution": {"framework": "torch", "nodes": 2, "elastic": {"minNodes": 1, "maxNodes": 2}}},
        "spec.distribution.nodes: Forbidden: give nodes, or elastic.maxNodes, not both",
    ),
    (
        {"spec.distribution": {"framework": "jax", "elastic": {"minNodes": 1, "maxNodes": 2}}},
        'spec.distribution.elastic: Invalid value: "object": only torchrun goes on with fewer nodes: leave it out',
    ),
    (
        {"spec.distribution": {"framework": "torch", "elastic": {"minNodes": 3, "maxNodes": 2}}},
        'spec.distribution.elastic.minNodes: Invalid value: "object": minNodes must be at most maxNodes',
    ),
    (
        {"spec.failureRules": [{"action": "FailJob"}]},
        "spec.failureRules[0]: Required value: say which failures it is for: exitCodes, reasons or message",
    ),
    ({"spec.failureRules": [{"exitCodes": [3]}]}, "spec.failureRules[0].action: Required value"),
    (
        {"spec.failureRules": [{"action": "FailJob", "exitCodes": [0]}]},
        "spec.failureRules[0].exitCodes[0] in body should be greater than or equal to 1",
    ),
    ({"spec.activeDeadlineSeconds": "2h"}, "spec.activeDeadlineSeconds in body must be of type integer"),
    ({"spec.pendingDeadlineSeconds": 0}, "spec.pendingDeadlineSeconds in body should be greater than or equal to 1"),
    ({"spec.publishDeadlineSeconds": 5}, "spec.publishDeadlineSeconds in body should be greater than or equal to 10"),
    ({"spec.suspend": "yes"}, "spec.suspend in body must be of type boolean"),
]

ANALYSIS = "spec.strategy.canary.analysis"


COUNTED = {"numerator": {"metric": "seconds"}, "denominator": {"metric": "requests"}}


def looked_at(*metrics: dict[str, Any], **analysis: Any) -> dict[str, Any]:
    canary = {"steps": [{"analysis": {}}], "analysis": {"metrics": [*metrics], **analysis}}
    return {"spec.strategy": {"canary": canary}}


def _evaluated(limit: dict[str, Any]) -> dict[str, Any]:
    return {"spec.gate": {"evaluation": {"uri": "s3://acme/holdout.csv", "label": "churned", "metrics": [limit]}}}


MODELDEPLOYMENT = [
    ({"metadata.name": "1-churn"}, "metadata.name: becomes the Service's name"),
    ({"metadata.name": "c" * 46}, "metadata.name: becomes the Service's name: at most 45 characters"),
    ({"spec.model": GONE}, "spec.model: Required value"),
    ({"spec.model": {}}, "give either name (a model) or uri"),
    (
        {"spec.model": {"name": "a", "uri": "s3://a/b", "digest": DIGEST, "format": "onnx"}},
        "give either name (a model) or uri",
    ),
    ({"spec.model": {"uri": "s3://a/b", "format": "onnx"}}, "files given by uri need digest"),
    ({"spec.model.digest": DIGEST}, "digest and format go with uri"),
    ({"spec.model.version": 0}, "spec.model.version in body should be greater than or equal to 1"),
    ({"spec.approval": "Never"}, 'spec.approval: Unsupported value: "Never": supported values: "Automatic", "Manual"'),
    ({"spec.gate": {"metrics": []}}, "give metrics, evaluation or both"),
    ({"spec.gate": {}}, "give metrics, evaluation or both"),
    (_evaluated({"name": "Accuracy"}), "min, max, noWorseThanChampionBy, betterThanChampionBy or maxGap"),
    (_evaluated({"name": "Accuracy", "maxGap": 0.1}), "goes with segment: it is between its values"),
    (
        _evaluated({"name": "Accuracy", "min": 1, "max": 0.5}),
        'evaluation.metrics[0].min: Invalid value: "object": min must',
    ),
    (_evaluated({"name": "Latency", "max": 5, "segment": "a"}), "a request has no segment: leave it out for Latency"),
    (
        {"spec.requestLog": {"uri": "s3://acme/log", "percent": 0}},
        'percent: Invalid value: "number": must be at least 0.001',
    ),
    (_evaluated({"name": "accuracy", "min": 1}), 'spec.gate.evaluation.metrics[0].name: Unsupported value: "accuracy"'),
    ({"spec.gate": {"metrics": [{"name": "accuracy"}]}}, "give at least one limit: min, max or noWorseThanChampionBy"),
    ({"spec.gate": {"metrics": [{"name": "a", "min": 2, "max": 1}]}}, "min must not be above max"),
    ({"spec.gate": {"metrics": [{"name": "a", "min": "0.9"}]}}, "spec.gate.metrics[0].min in body must be of type num"),
    ({"spec.replicas": -1}, "spec.replicas in body should be greater than or equal to 0"),
    ({"spec.autoscaling": {}}, "spec.autoscaling.maxReplicas: Required value"),
    ({"spec.autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "minReplicas must not be above maxReplicas"),
    (
        {"spec.autoscaling": {"minReplicas": 0, "maxReplicas": 2}},
        "spec.autoscaling.minReplicas in body should be greater",
    ),
    (
        {"spec.autoscaling": {"maxReplicas": 10_001}},
        "spec.autoscaling.maxReplicas in body should be less than or equal",
    ),
    (
        {"spec.autoscaling": {"maxReplicas": 2, "metrics": ["cpu"]}},
        "spec.autoscaling.metrics[0] in body must be of type object",
    ),
    ({"spec.disruption": {}}, "give exactly one of minAvailable and maxUnavailable"),
    (
        {"spec.disruption": {"minAvailable": 1, "maxUnavailable": 1}},
        "give exactly one of minAvailable and maxUnavailable",
    ),
    ({"spec.disruption": {"minAvailable": "101%"}}, "spec.disruption.minAvailable in body should match"),
    ({"spec.network": {}}, "spec.network.allowFrom: Required value"),
    ({"spec.network": {"allowFrom": ["web"]}}, "spec.network.allowFrom[0] in body must be of type object"),
    ({"spec.route": {}}, "spec.route.parentRefs: Required value"),
    ({"spec.route": {"parentRefs": []}}, "spec.route.parentRefs in body should have at least 1 items"),
    ({"spec.ingress": {"hosts": ["*"]}}, "spec.ingress.hosts[0] in body should match"),
    (
        {"spec.strategy": {"abTest": {"match": [{"cookie": {"name": "group", "value": "b"}}]}}},
        "strategy.abTest needs spec.route",
    ),
    (
        {"spec.strategy": {"shadow": {}}},
        "strategy.shadow needs spec.route: a gateway that knows the filter RequestMirror copies the requests",
    ),
    (
        {"spec.route": {"parentRefs": [{"name": "a"}]}, "spec.strategy": {"shadow": {"percent": 0}}},
        "spec.strategy.shadow.percent in body should be greater than or equal to 1",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{"setCanaryScale": {"replicas": 1}}]}}},
        "the steps setHeaderRoute and setCanaryScale need spec.route",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{"setHeaderRoute": {}}]}}},
        "the steps setHeaderRoute and setCanaryScale need spec.route",
    ),
    (
        {"spec.route": {"parentRefs": [{"name": "a"}]}, "spec.strategy": {"abTest": {"match": [{}]}}},
        "give headers, a cookie or both",
    ),
    (
        {"spec.route": {"parentRefs": [{"name": "a"}]}, "spec.strategy": {"abTest": {"duration": "1h"}}},
        "give exactly one of match (requests that carry something) and hashedKey (a share of the keys)",
    ),
    (
        {
            "spec.route": {"parentRefs": [{"name": "a"}]},
            "spec.strategy": {
                "abTest": {
                    "match": [{"cookie": {"name": "group", "value": "b"}}],
                    "hashedKey": {"header": "x-user", "percent": 5},
                }
            },
        },
        "give exactly one of match (requests that carry something) and hashedKey (a share of the keys)",
    ),
    (
        {
            "spec.route": {"parentRefs": [{"name": "a"}]},
            "spec.strategy": {"abTest": {"hashedKey": {"header": "x-user", "percent": 100}}},
        },
        "spec.strategy.abTest.hashedKey.percent in body should be less than or equal to 99",
    ),
    ({"spec.maxSurge": 0, "spec.maxUnavailable": 0}, "maxSurge and maxUnavailable must not both be 0"),
    ({"spec.maxSurge": "half"}, "spec.maxSurge in body should match"),
    ({"spec.strategy": {"recreate": {}}}, 'unknown field "spec.strategy.recreate"'),
    ({"spec.strategy": {}}, "spec.strategy: Invalid value"),
    ({"spec.strategy": {"canary": {}}}, "spec.strategy.canary.steps: Required value"),
    ({"spec.strategy": {"canary": {"steps": []}}}, "spec.strategy.canary.steps in body should have at least 1 items"),
    (
        {"spec.strategy": {"rollingUpdate": {}, "canary": {"steps": [{"setWeight": 1}]}}},
        "give exactly one of rollingUpdate, canary, blueGreen, abTest and shadow",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{}]}}},
        "give exactly one of setWeight, pause, analysis, setHeaderRoute and setCanaryScale",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{"setWeight": 101}]}}},
        "spec.strategy.canary.steps[0].setWeight in body should be less than or equal to 100",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{"pause": {"duration": "5 minutes"}}]}}},
        "spec.strategy.canary.steps[0].pause.duration in body should match",
    ),
    (
        {"spec.strategy": {"canary": {"steps": [{"analysis": {}}]}}},
        "spec.strategy.canary.analysis: Invalid value",
    ),
    (looked_at(), f"{ANALYSIS}.metrics in body should have at least 1 items"),
    (looked_at({"name": "a"}), "give at least one limit: min, max or noWorseThanStableBy"),
    (looked_at({"name": "a", "min": 2, "max": 1}), "min must not be above max"),
    (
        looked_at(
            {"name": "a", "noWorseThanStableBy": 1, "source": {"job": {"template": {"spec": {"containers": []}}}}}
        ),
        f"{ANALYSIS}.metrics[0].noWorseThanStableBy: Invalid value",
    ),
    (
        looked_at({"name": "a", "source": {"job": {"template": {"spec": {"containers": []}}}}}),
        f"{ANALYSIS}.metrics[0].source.job.template.spec.containers in body should have at least 1 items",
    ),
    (
        looked_at({"name": "a", "min": 1}, confidence=95),
        f'{ANALYSIS}.confidence: Invalid value: "number": must be a ratio from 0.5 to 0.9999, such as 0.95',
    ),
    (
        {"spec.strategy": {"blueGreen": {"previewReplicas": 0}}},
        "spec.strategy.blueGreen.previewReplicas in body should be greater than or equal to 1",
    ),
    (
        {"spec.strategy": {"blueGreen": {"prePromotionAnalysis": {}}}},
        "spec.strategy.blueGreen.prePromotionAnalysis.metrics: Required value",
    ),
    (
        looked_at({"name": "a", "min": 1, "source": {"reported": {}, "prometheus": {"query": "up"}}}),
        "give exactly one of reported, pods, prometheus, webhook, job and runtime",
    ),
    (
        looked_at({"name": "a", "min": 1, "source": {"pods": COUNTED | {"mean": {"times": 0}}}}),
        'source.pods.mean.times: Invalid value: "number": must be from 0.000001 to 1000000',
    ),
    (looked_at({"name": "a", "min": 1, "source": {"prometheus": {}}}), "source.prometheus.query: Required value"),
    (
        looked_at({"name": "a", "min": 1, "source": {"pods": {"numerator": {"metric": "errors"}}}}),
        "source.pods.denominator: Required value",
    ),
    (
        looked_at({"name": "a", "min": 1, "source": {"pods": {"path": "metrics"}}}),
        "source.pods.path in body should match",
    ),
    ({"spec.rollbackWindow": {}}, "spec.rollbackWindow.revisions: Required value"),
    ({"spec.scaleDownDelay": "5 minutes"}, "spec.scaleDownDelay in body should match"),
    ({"spec.progressDeadlineSeconds": 1}, "spec.progressDeadlineSeconds in body should be greater than or equal to 5"),
    ({"spec.revisionHistoryLimit": 101}, "spec.revisionHistoryLimit in body should be less than or equal to 100"),
    ({"spec.template": {"spec": {"containers": [{"image": "x"}]}}}, f"{CONTAINERS}[0].name: Required value"),
]

DRIFT = {
    "reference": {"uri": "s3://acme/train.csv"},
    "current": {"uri": "s3://acme/now.csv"},
    "method": "ChiSquared",
}
PAGE_HINKLEY = {"metric": "accuracy", "detector": "PageHinkley"}
METRIC, SCHEDULE = "spec.triggers.0.metric", "spec.triggers.1.schedule"
TEMPLATE = "spec.trainingJobTemplate.spec"
RETRAINPOLICY = [
    ({"metadata.name": "c" * 41}, "metadata.name must have at most 40 characters"),
    ({"spec.deployment": GONE}, "spec.deployment: Required value"),
    ({"spec.trainingJobTemplate": GONE}, "spec.trainingJobTemplate: Required value"),
    ({f"{TEMPLATE}.model": GONE}, f"{TEMPLATE}.model: Required value"),
    ({f"{TEMPLATE}.{CONTAINERS[5:]}.0.command": GONE}, "the training container must say its `command`"),
    ({f"{TEMPLATE}.backofLimit": 3}, f'unknown field "{TEMPLATE}.backofLimit"'),
    ({"spec.triggers.0.name": "Low Accuracy"}, "spec.triggers[0].name in body should match"),
    ({"spec.triggers.1.name": "accuracy"}, 'spec.triggers[1]: Duplicate value: {"name":"accuracy"}'),
    ({"spec.triggers.0.name": "request"}, "this name tells of runs that were asked for by hand"),
    (
        {"spec.triggers.0.schedule": {"cron": "0 3 * * *"}},
        "give exactly one of metric, drift, conceptDrift, data and schedule",
    ),
    ({METRIC: GONE}, "give exactly one of metric, drift, conceptDrift, data and schedule"),
    (
        {"spec.triggers.0": {"name": "moved", "drift": {**DRIFT, "significance": 0}}},
        'spec.triggers[0].drift.significance: Invalid value: "number": must be at least 1e-07',
    ),
    (
        {"spec.triggers.0": {"name": "worse", "conceptDrift": {"metric": "accuracy", "threshold": 10}}},
        "goes with PageHinkley; of ADWIN give significance",
    ),
    (
        {"spec.triggers.0": {"name": "worse", "conceptDrift": {**PAGE_HINKLEY, "significance": 0.01}}},
        "goes with ADWIN; of PageHinkley give threshold and tolerance",
    ),
    ({f"{METRIC}.below": GONE}, "give exactly one of below, above and outside"),
    ({f"{METRIC}.above": 0.95}, "give exactly one of below, above and outside"),
    ({f"{METRIC}.source": {"wandb": {}}}, 'unknown field "spec.triggers[0].metric.source.wandb"'),
    ({f"{METRIC}.source": {"mlflow": {}}}, "spec.triggers[0].metric.source.mlflow.experiment: Required value"),
    ({f"{METRIC}.source": {"prometheus": {}}}, "spec.triggers[0].metric.source.prometheus.query: Required value"),
    (
        {f"{METRIC}.source": {"prometheus": {"query": "up"}}, f"{METRIC}.aggregate": "Max"},
        "the source gives one value: aggregate in its expression or program",
    ),
    (
        {f"{METRIC}.source": {"webhook": {"name": "a"}}, f"{METRIC}.breaches": {"atLeast": 1, "of": 2}},
        "the source gives one value, of now: give `for`, or look back in its expression or program",
    ),
    (
        {f"{METRIC}.source": {"pods": COUNTED}, f"{METRIC}.window": "25h"},
        "pods are read every 30s, and what they counted is remembered for a day at most: must be 1m to 24h",
    ),
    ({f"{METRIC}.source": {"pods": COUNTED}, f"{METRIC}.window": "59s"}, "must be 1m to 24h"),
    (
        {f"{METRIC}.source": {"pods": COUNTED}, f"{METRIC}.labelDelay": "1h"},
        "pods count what has come already: give none with source.pods",
    ),
    ({f"{METRIC}.source": {"pods": {}}}, "spec.triggers[0].metric.source.pods.numerator: Required value"),
    ({f"{METRIC}.window": "1d"}, "spec.triggers[0].metric.window in body should match"),
    ({f"{METRIC}.window": "900h"}, "window must be more than 0s, and at most 720h"),
    ({f"{METRIC}.aggregate": "Mean"}, 'spec.triggers[0].metric.aggregate: Unsupported value: "Mean"'),
    ({f"{METRIC}.minSamples": 0}, "spec.triggers[0].metric.minSamples in body should be greater than or equal to 1"),
    ({f"{METRIC}.for": "30"}, "spec.triggers[0].metric.for in body should match"),
    ({f"{METRIC}.labelDelay": "720h"}, "window and labelDelay must be at most 720h together"),
    ({f"{METRIC}.relativeTo": {"by": "Ratio"}}, "spec.triggers[0].metric.relativeTo.baseline: Required value"),
    (
        {f"{METRIC}.relativeTo": {"baseline": "Promotion", "metric": "accuracy"}},
        "goes with baseline Recorded: the metrics on a ModelVersion have names",
    ),
    ({"spec.when": "Both"}, 'spec.when: Unsupported value: "Both": supported values: "Any", "All"'),
    ({"spec.quietHours": [{"cron": "0 3 * * *", "duration": "1h"}]}, "spec.quietHours[0].name: Required value"),
    ({"spec.quietHours": [{"name": "n", "cron": "0 3 * * *", "duration": "0s"}]}, "must be 1s to 720h"),
    ({f"{SCHEDULE}.cron": "@daily"}, "spec.triggers[1].schedule.cron in body should"),
    (
        {f"{SCHEDULE}.startingDeadlineSeconds": 0},
        "startingDeadlineSeconds in body should be greater than or equal to 1",
    ),
    ({"spec.cooldown": "9000h"}, "spec.cooldown: Invalid value"),
    (
        {"spec.concurrencyPolicy": "Skip"},
        'spec.concurrencyPolicy: Unsupported value: "Skip": supported values: "Forbid", "Replace", "Allow"',
    ),
    ({"spec.budget": {"per": "24h"}}, "give at least one limit: runs or acceleratorHours"),
    (
        {"spec.budget": {"acceleratorHours": 0}},
        "spec.budget.acceleratorHours in body should be greater than or equal to 1",
    ),
    ({"spec.budget": {"runs": 100}}, "spec.budget.runs in body should be less than or equal to 20"),
    ({"spec.unpromotedLimit": 0}, "spec.unpromotedLimit in body should be greater than or equal to 1"),
    ({"spec.dryRun": 1}, "spec.dryRun in body must be of type boolean"),
]

MODELVERSION = [
    ({"metadata.name": "churn-v3"}, "metadata.name must be <spec.model>-<spec.version>"),
    ({"metadata.name": "churn-03"}, "metadata.name must be <spec.model>-<spec.version>"),
    ({"spec.version": 4}, "metadata.name must be <spec.model>-<spec.version>"),
    ({"spec.digest": GONE}, "spec.digest: Required value"),
    ({"spec.digest": "sha256:abc"}, "spec.digest in body should match"),
    ({"spec.uri": "file:///models/3"}, "spec.uri in body should match"),
    ({"spec.approval": "Yes"}, 'spec.approval: Unsupported value: "Yes": supported values: "Approved", "Rejected"'),
    ({"spec.metrics": {"a b": 1}}, "each name has at most 63 characters"),
    ({"spec.metrics": {"accuracy": "high"}}, "spec.metrics.accuracy in body must be of type number"),
]

CASES = [
    pytest.param(resource, changes, words, id=f"{resource.kind}-{'+'.join(changes)}-{number}")
    for resource, cases in {
        TRAININGJOBS: TRAININGJOB,
        MODELDEPLOYMENTS: MODELDEPLOYMENT,
        RETRAINPOLICIES: RETRAINPOLICY,
        MODELVERSIONS: MODELVERSION,
    }.items()
    for number, (changes, words) in enumerate(cases)
]


@pytest.fixture(scope="module")
def workplace(kinds: ApiServer) -> str:
    """One namespace for all of these: what is refused leaves nothing behind."""
    made = kinds.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "manifests-"}})
    return str(made["metadata"]["name"])


@pytest.mark.parametrize(("resource", "changes", "words"), CASES)
def test_the_mistake_is_named(
    kinds: ApiServer, workplace: str, resource: Resource, changes: dict[str, Any], words: str
) -> None:
    refusal = send(kinds, workplace, manifest(resource, changes))
    assert refusal is not None
    assert words in refusal


@pytest.mark.parametrize("resource", GOOD, ids=lambda resource: resource.kind)
def test_the_manifests_without_the_mistakes_are_accepted(kinds: ApiServer, namespace: str, resource: Resource) -> None:
    assert send(kinds, namespace, manifest(resource, {})) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.template": GONE, "spec.runtime": "python"},
        {f"{CONTAINERS}.0.command": GONE, "spec.runtime": "python"},
        {f"{CONTAINERS}.0.command": GONE, "spec.output.mode": "External"},
        {CONTAINERS: [{"name": "sidecar", "image": "example.org/proxy:1"}, TRAIN]},
        {"spec.parameters": {"depth": 6, "rate": 0.1, "kind": "gbdt", "layers": [1, 2], "nested": {"a": None}}},
        {"spec.output.uri": "pvc://models/churn/a..b"},
        {"spec.inputs": [{"name": "all", "uri": "pvc://recorded"}]},
        {"metadata.name": "x" * 52},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_what_looks_like_a_mistake_and_is_none(kinds: ApiServer, namespace: str, changes: dict[str, Any]) -> None:
    assert send(kinds, namespace, manifest(TRAININGJOBS, changes)) is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_the_documentation_are_accepted(kinds: ApiServer, namespace: str, example: Path) -> None:
    for body in yaml.safe_load_all(example.read_text()):
        if body and body["apiVersion"].startswith("perennial.dev/"):
            assert send(kinds, namespace, body) is None, body["metadata"]["name"]


class Edits:
    """Edits of one object that exists."""

    def __init__(self, server: ApiServer, namespace: str, resource: Resource, status: dict[str, Any] | None = None):
        body = manifest(resource, {})
        assert send(server, namespace, body) is None
        self._server, self._path = server, resource.path(namespace, body["metadata"]["name"])
        if status:
            self._patch({"status": status}, "/status")

    def refused(self, patch: dict[str, Any]) -> str | None:
        """The server's words, or None when the edit was made."""
        try:
            self._patch(patch)
        except urllib.error.HTTPError as error:
            return str(json.load(error)["message"])
        return None

    def _patch(self, patch: dict[str, Any], subresource: str = "") -> None:
        self._server.request("PATCH", self._path + subresource, patch, "application/merge-patch+json")


TRAININGJOB_EDITS: list[tuple[str, dict[str, Any]]] = [
    ("model", {"model": {"name": "other"}}),
    ("model", {"model": {"format": "onnx"}}),
    ("runtime", {"runtime": "python"}),
    ("template", {"template": {"spec": {"containers": [TRAIN | {"image": "example.org/train:2"}]}}}),
    ("inputs", {"inputs": [{"name": "data", "uri": "s3://a/b"}]}),
    ("output", {"output": {"uri": "s3://a/b"}}),
    ("storage", {"storage": {"secretName": "other"}}),
    ("code", {"code": {"revision": "v2"}}),
    ("distribution", {"distribution": {"nodes": 2}}),
    ("failureRules", {"failureRules": [{"action": "FailJob", "exitCodes": [3]}]}),
    ("backoffLimit", {"backoffLimit": 9}),
    ("publishDeadlineSeconds", {"publishDeadlineSeconds": 60}),
]


def test_a_started_trainingjob_keeps_what_its_job_was_made_from(kinds: ApiServer, namespace: str) -> None:
    edits = Edits(kinds, namespace, TRAININGJOBS, {"jobName": "churn-1"})
    for field, change in TRAININGJOB_EDITS:
        refusal = edits.refused({"spec": change})
        assert refusal is not None, field
        assert f"spec.{field} cannot change once the Job is made: apply a TrainingJob of another name" in refusal


def test_a_started_trainingjob_can_be_held_and_given_other_deadlines(kinds: ApiServer, namespace: str) -> None:
    edits = Edits(kinds, namespace, TRAININGJOBS, {"jobName": "churn-1"})
    deadlines = {"activeDeadlineSeconds": 60, "pendingDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60}
    assert edits.refused({"spec": {"suspend": True, **deadlines}}) is None


def test_a_trainingjob_can_change_until_its_job_is_made(kinds: ApiServer, namespace: str) -> None:
    edits = Edits(kinds, namespace, TRAININGJOBS, {"phase": "Pending"})
    for field, change in TRAININGJOB_EDITS[2:]:
        assert edits.refused({"spec": change}) is None, field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uri", "s3://acme/models/other"),
        ("digest", "sha256:" + "1" * 64),
        ("format", "onnx"),
        ("metrics", {"accuracy": 1.0}),
        ("evaluation", "other"),
        ("inputs", [{"name": "data", "uri": "s3://a/b"}]),
        ("image", "example.org/train:2"),
        ("code", {"revision": "v2"}),
        ("trainingJob", {"name": "a", "uid": "b"}),
        ("storage", {"secretName": "other"}),
    ],
)
def test_a_modelversion_keeps_what_it_is(kinds: ApiServer, namespace: str, field: str, value: Any) -> None:
    refusal = Edits(kinds, namespace, MODELVERSIONS).refused({"spec": {field: value}})
    assert refusal is not None
    assert f"spec.{field} cannot change: a version is what was trained" in refusal
