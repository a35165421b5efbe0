"""The CustomResourceDefinitions: each kind's schema, rules, names, subresources and what `kubectl get` shows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from perennial.api import metricseries, modeldeployment, modelversion, retrainpolicy, trainingjob
from perennial.api.resources import (
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    Resource,
)
from perennial.api.rules import Rule, validations
from perennial.api.schema import structural

Crd = dict[str, Any]

# Models that other models embed by name.
_EMBEDDED = (trainingjob.TrainingJobSpec,)
# The first condition that is true says what is going on: the operator writes the most telling one first.
_TRUE = '.status.conditions[?(@.status=="True")]'
_READY = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; a wide one is shown by `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def body(self) -> dict[str, Any]:
        """As it stands in `additionalPrinterColumns`."""
        return {"name": self.name, "jsonPath": self.path, "type": self.type} | ({"priority": 1} if self.wide else {})


_AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Kind:
    """All that its CustomResourceDefinition says of a kind. `scale` is the schema's `scale` subresource, if any."""

    resource: Resource
    description: str
    short_names: Sequence[str]
    columns: Sequence[Column]
    spec: type[BaseModel] | None = None
    status: type[BaseModel] | None = None
    status_subresource: bool = True
    status_default: Mapping[str, Any] = field(default_factory=dict)
    scale: dict[str, str] | None = None
    rules: Sequence[Rule] = ()
    categories: Sequence[str] = field(default=("perennial",))


KINDS = (
    Kind(
        TRAININGJOBS,
        "One training run of a model. A success yields the model's next ModelVersion; a finished run never runs again.",
        ("tj",),
        (
            Column("Model", ".spec.model.name"),
            Column("Phase", ".status.phase"),
            Column("Reason", f"{_TRUE}.reason"),
            Column("Since", f"{_TRUE}.lastTransitionTime", "date"),
            Column("Version", ".status.modelVersion"),
            _AGE,
            Column("Nodes", ".spec.distribution.nodes", "integer", wide=True),
            Column("Attempt", ".status.attempt", "integer", wide=True),
            Column("Started", ".status.startTime", "date", wide=True),
            Column("Finished", ".status.completionTime", "date", wide=True),
            Column("Message", f"{_TRUE}.message", wide=True),
        ),
        spec=trainingjob.TrainingJobSpec,
        status=trainingjob.TrainingJobStatus,
        # What is shown before the first write, which a run that soon starts does without. For kstatus a generation
        # that is not the object's own means "in progress".
        status_default={"phase": "Pending", "observedGeneration": 0},
        rules=trainingjob.OBJECT_RULES,
    ),
    Kind(
        MODELS,
        "The record of one model: the versions it has, where it is served, when it was last trained.",
        (),
        (
            Column("Highest-Version", ".status.highestVersion", "integer"),
            Column("Latest-Approved", ".status.latestApproved", "integer"),
            Column("Serving", ".status.serving"),
            Column("Last-Trained", ".status.lastTrained", "date"),
            _AGE,
        ),
        status=modelversion.ModelStatus,
        status_subresource=False,
    ),
    Kind(
        MODELVERSIONS,
        "The record of one version of a model: where its files lie, what it scored, and where it came from.",
        ("mv",),
        (
            Column("Model", ".spec.model"),
            Column("Version", ".spec.version", "integer"),
            Column("Approval", ".spec.approval"),
            Column("State", ".status.state"),
            _AGE,
            Column("Message", ".status.message", wide=True),
            Column("Cause", ".spec.retrain.cause.message", wide=True),
            Column("TrainingJob", ".spec.trainingJob.name", wide=True),
            Column("Format", ".spec.format", wide=True),
            Column("Metrics", ".spec.metrics", wide=True),
            Column("Digest", ".spec.digest", wide=True),
        ),
        spec=modelversion.ModelVersionSpec,
        status=modelversion.ModelVersionStatus,
        rules=modelversion.OBJECT_RULES,
    ),
    Kind(
        MODELDEPLOYMENTS,
        "One model, served: which version takes the traffic, and what a version must show before it may.",
        ("mdep",),
        (
            Column("Version", ".status.modelVersion"),
            Column("Ready", f"{_READY}.status"),
            Column("Available", '.status.conditions[?(@.type=="Available")].status'),
            Column("Reason", f"{_READY}.reason"),
            Column("Since", f"{_READY}.lastTransitionTime", "date"),
            Column("Replicas", ".status.readyReplicas", "integer"),
            Column("Rollout", ".status.rollout.version", "integer"),
            Column("Weight", ".status.traffic.actualWeight", "integer"),
            _AGE,
            Column("URL", ".status.url", wide=True),
            Column("Message", f"{_READY}.message", wide=True),
        ),
        spec=modeldeployment.ModelDeploymentSpec,
        status=modeldeployment.ModelDeploymentStatus,
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
        rules=modeldeployment.OBJECT_RULES,
    ),
    Kind(
        RETRAINPOLICIES,
        "When a served model is trained again: triggers, limits on how often, and what became of each run.",
        ("rp",),
        (
            Column("Deployment", ".spec.deployment.name"),
            Column("Ready", f"{_READY}.status"),
            Column("Reason", f"{_READY}.reason"),
            Column("Since", f"{_READY}.lastTransitionTime", "date"),
            Column("Active", ".status.active", "integer"),
            Column("Last-Run", ".status.runs[0].phase"),
            _AGE,
            Column("Run", ".status.lastRun", "integer", wide=True),
            Column("Cause", ".status.runs[0].cause.message", wide=True),
            Column("Outcome", ".status.runs[0].message", wide=True),
            Column("Next", ".status.nextScheduleTime", wide=True),
            Column("Message", f"{_READY}.message", wide=True),
        ),
        spec=retrainpolicy.RetrainPolicySpec,
        status=retrainpolicy.RetrainPolicyStatus,
        rules=retrainpolicy.OBJECT_RULES,
    ),
    Kind(
        METRICSERIES,
        "The record of what was reported of one ModelDeployment, in buckets that grow coarser with age.",
        ("mser",),
        (Column("Updated", ".status.updated", "date"), _AGE),
        status=metricseries.MetricSeriesStatus,
        status_subresource=False,
        categories=(),
    ),
)


def crds() -> dict[str, Crd]:
    """All CustomResourceDefinitions by file name. SchemaError when a field has no words."""
    return {f"{kind.resource.group}_{kind.resource.plural}.yaml": crd(kind) for kind in KINDS}


def crd(kind: Kind) -> Crd:
    """The CustomResourceDefinition of one kind."""
    resource = kind.resource
    subresources: dict[str, Any] = {"status": {}} if kind.status_subresource else {}
    if kind.scale:
        subresources["scale"] = kind.scale
    version = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object(kind)},
        "additionalPrinterColumns": [column.body() for column in kind.columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": _names(kind),
            "scope": "Namespaced",
            "versions": [version | ({"subresources": subresources} if subresources else {})],
        },
    }


def _names(kind: Kind) -> dict[str, Any]:
    names = {
        "kind": kind.resource.kind,
        "listKind": f"{kind.resource.kind}List",
        "plural": kind.resource.plural,
        "singular": kind.resource.kind.lower(),
        "shortNames": list(kind.short_names),
        "categories": list(kind.categories),
    }
    return {name: value for name, value in names.items() if value}


def _object(kind: Kind) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string", "description": "Group and version of the kind: perennial.dev/v1alpha1."},
        "kind": {"type": "string", "description": f"The kind: {kind.resource.kind}."},
        "metadata": {"type": "object"},
    }
    if kind.spec:
        properties["spec"] = structural(kind.spec, models=_EMBEDDED)
    if kind.status:
        properties["status"] = structural(kind.status, defaults=False)
        if kind.status_default:
            properties["status"]["default"] = dict(kind.status_default)
    schema: dict[str, Any] = {"type": "object", "description": kind.description, "properties": properties}
    if kind.spec:
        schema["required"] = ["spec"]
    if kind.rules:
        schema |= validations(*kind.rules)
    return schema
