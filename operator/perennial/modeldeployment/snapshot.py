"""What a ModelDeployment is decided on: itself, the versions of its model, its children and their pods."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from perennial.api.base import read_time
from perennial.api.meta import LABEL_CHECK, LABEL_GOLDEN, LABEL_MODELDEPLOYMENT, LABEL_REVISION
from perennial.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from perennial.api.modelversion import ModelVersionSpec
from perennial.api.resources import (
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    HTTPROUTES,
    INGRESSES,
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    NETWORKPOLICIES,
    PODDISRUPTIONBUDGETS,
    PODS,
    RETRAINPOLICIES,
    SERVICES,
    Resource,
)
from perennial.errands import OwnJob, own_jobs
from perennial.owners import controller_uid
from perennial.plan import Body
from perennial.questions import Answer, Question
from perennial.subject import Subject, read_spec, read_status
from perennial.view import Name, Refusal, View, Watch, owner_of

# What may be beside the pods, one of each, and which field of the spec asks for it.
COMPANIONS: Mapping[Resource, str] = {
    NETWORKPOLICIES: "network",
    PODDISRUPTIONBUDGETS: "disruption",
    HORIZONTALPODAUTOSCALERS: "autoscaling",
    INGRESSES: "ingress",
}


@dataclass(frozen=True, slots=True)
class Relapse:
    """A RetrainPolicy found that a version which it had brought is not good after all."""

    model_version: str
    time: datetime
    message: str


@dataclass(frozen=True)
class Snapshot(Subject):
    """One ModelDeployment and everything around it. `spec` is None when it cannot be read; `invalid` says why."""

    spec: ModelDeploymentSpec | None
    invalid: str
    status: ModelDeploymentStatus
    conditions: Sequence[Body] = ()  # as they are written now
    versions: Mapping[int, ModelVersionSpec] = field(default_factory=dict)
    deployments: Mapping[str, Body] = field(default_factory=dict)  # by revision
    pods: Mapping[str, Sequence[Body]] = field(default_factory=dict)  # by revision
    service: Body | None = None
    preview: Body | None = None  # the Service of the revision that comes
    route: Body | None = None
    companions: Mapping[Resource, Body] = field(default_factory=dict)
    autoscaler_of_incoming: Body | None = None
    jobs: Sequence[OwnJob] = ()
    series: Body | None = None  # what was reported
    relapses: Sequence[Relapse] = ()
    examined: bool = False  # whether a policy sends Jobs that call it
    refusal: Refusal | None = None
    answers: Mapping[Question, Answer] = field(default_factory=dict)


def preview_name(deployment: str) -> str:
    """The name of the Service of the revision that comes."""
    return f"{deployment}-preview"


def gather(view: View, namespace: str, name: str) -> Snapshot | None:
    """The snapshot; None when the object is gone or going, its children with it."""
    body = view.get(MODELDEPLOYMENTS, namespace, name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return None
    uid = body["metadata"]["uid"]
    spec, invalid = read_spec(ModelDeploymentSpec, body.get("spec") or {})
    status = body.get("status") or {}
    return Snapshot(
        body=body,
        spec=spec,
        invalid=invalid,
        status=read_status(ModelDeploymentStatus, status),
        conditions=status.get("conditions") or (),
        versions=_versions(view, namespace, spec.model.name if spec else None),
        deployments={
            child["metadata"]["name"]: child
            for child in view.owned(DEPLOYMENTS, uid)
            if not child["metadata"].get("deletionTimestamp")
        },
        pods=_pods(view, namespace, name),
        series=view.get(METRICSERIES, namespace, name),
        relapses=[relapse for policy in _policies(view, namespace, name) for relapse in _relapses(policy)],
        examined=any(map(_examines, _policies(view, namespace, name))),
        service=_own(view, SERVICES, namespace, name, uid),
        preview=_own(view, SERVICES, namespace, preview_name(name), uid),
        route=_own(view, HTTPROUTES, namespace, name, uid),
        companions={kind: child for kind in COMPANIONS if (child := _own(view, kind, namespace, name, uid))},
        autoscaler_of_incoming=_own(view, HORIZONTALPODAUTOSCALERS, namespace, preview_name(name), uid),
        jobs=own_jobs(view, uid),
        refusal=view.refusal(MODELDEPLOYMENTS, namespace, name),
        answers=view.answers(MODELDEPLOYMENTS, namespace, name),
    )


def _policies(view: View, namespace: str, name: str) -> list[Body]:
    policies = view.list(RETRAINPOLICIES, namespace)
    return [policy for policy in policies if policy["spec"]["deployment"]["name"] == name]


def _relapses(policy: Body) -> Iterable[Relapse]:
    for run in (policy.get("status") or {}).get("runs") or ():
        if since := read_time(run.get("relapseTime")):
            yield Relapse(run.get("modelVersion", ""), since, run.get("message", ""))


def _examines(policy: Body) -> bool:
    metrics = (trigger.get("metric") or {} for trigger in policy["spec"].get("triggers") or ())
    return any((metric.get("source") or {}).get("job") for metric in metrics)


def _own(view: View, resource: Resource, namespace: str, name: str, uid: str) -> Body | None:
    """The child of this name, if it is ours."""
    child = view.get(resource, namespace, name)
    return child if child and controller_uid(child) == uid else None


def _versions(view: View, namespace: str, model: str | None) -> dict[int, ModelVersionSpec]:
    found = {}
    for body in view.indexed(MODELVERSIONS, namespace, model) if model else ():
        if not body["metadata"].get("deletionTimestamp"):
            version = _version(body["spec"])
            if version is not None:
                found[version.version] = version
    return found


def _version(spec: Any) -> ModelVersionSpec | None:
    try:
        return ModelVersionSpec.model_validate(spec)
    except ValidationError:
        # Written before the schema that would refuse it now: not to be served, and no reason to stop serving others.
        return None


def _pods(view: View, namespace: str, name: str) -> Mapping[str, Sequence[Body]]:
    pods: dict[str, list[Body]] = defaultdict(list)
    for pod in view.indexed(PODS, namespace, name):
        if not pod["metadata"].get("deletionTimestamp"):
            pods[pod["metadata"]["labels"].get(LABEL_REVISION, "")].append(pod)
    return pods


def _of_version(view: View, version: Body) -> Iterable[Name]:
    namespace, model = version["metadata"]["namespace"], version["spec"].get("model")
    for deployment in view.indexed(MODELDEPLOYMENTS, namespace, model) if model else ():
        yield Name(namespace, deployment["metadata"]["name"])


def _of_policy(_: View, policy: Body) -> Iterable[Name]:
    """Where one of its runs relapsed, or its Jobs call it: nothing else of it concerns the deployment."""
    if _examines(policy) or any(True for _ in _relapses(policy)):
        yield Name(policy["metadata"]["namespace"], policy["spec"]["deployment"]["name"])


def _of_pod(_: View, pod: Body) -> Iterable[Name]:
    labels = pod["metadata"].get("labels") or {}
    name = labels.get(LABEL_MODELDEPLOYMENT) or labels.get(LABEL_GOLDEN) or labels.get(LABEL_CHECK)
    if name:
        yield Name(pod["metadata"]["namespace"], name)


WATCHES: Mapping[Any, Watch] = {
    DEPLOYMENTS: owner_of(MODELDEPLOYMENTS),
    SERVICES: owner_of(MODELDEPLOYMENTS),
    HTTPROUTES: owner_of(MODELDEPLOYMENTS),
    PODS: _of_pod,
    JOBS: owner_of(MODELDEPLOYMENTS),
    MODELVERSIONS: _of_version,
    RETRAINPOLICIES: _of_policy,
    **dict.fromkeys(COMPANIONS, owner_of(MODELDEPLOYMENTS)),
}
