"""From what serves back to what it was made from and why: put together from the objects as they are read. Pure."""

from typing import Any

from pydantic import Field, ValidationError

from perennial.api.base import ApiModel, Time
from perennial.api.gate import EvaluationStatus
from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.modelversion import ModelVersionSpec, RetrainReference
from perennial.api.retrainpolicy import RetrainPolicyStatus, Run
from perennial.api.trainingjob import TrainingJobStatus
from perennial.cli.problem import Problem

Body = dict[str, Any]


class Revision(ApiModel):
    """A model with the pod template that it is served by. Without `since` it has not taken over yet; without `until` it
    serves. `version` is the ModelVersion's name; none for files that are served by their address. `evaluation` is what
    it had to show before it took over, `gate_skipped` what it did not show, and why a person let it in."""

    deployment: str
    name: str
    since: Time | None = None
    until: Time | None = None
    version: str | None = None
    uri: str | None = None
    digest: str | None = None
    evaluation: EvaluationStatus | None = None
    gate_skipped: str | None = None


class Training(ApiModel):
    """The TrainingJob; without `status` it is gone."""

    name: str
    uid: str
    status: TrainingJobStatus | None = None


class Cause(ApiModel):
    """The run of the RetrainPolicy that asked for the training; `run` is the policy's own record of it, while it has
    one. measured: the version that the metric was measured on."""

    retrain: RetrainReference
    policy_exists: bool
    run: Run | None = None
    measured: str | None = None


class Lineage(ApiModel):
    """Each part is there as far as it is known; `unknown` says in words what is not, by part."""

    namespace: str
    revision: Revision | None = None
    name: str | None = None
    version: ModelVersionSpec | None = None
    training: Training | None = None
    cause: Cause | None = None
    unknown: dict[str, str] = Field(default={})


def revision_of(deployment: Body, wanted: str | None = None) -> Revision:
    """The revision of that name, by default the one that serves. Problem when the deployment does not know it."""
    name, status = deployment["metadata"]["name"], _read(ModelDeploymentStatus, deployment.get("status") or {})
    revision = wanted or status.stable_revision
    if revision is None:
        ready = next((one.message for one in status.conditions if one.type == "Ready"), "") or "it has no status yet"
        raise Problem(f"modeldeployment {name} serves nothing yet: {ready}")
    for index, promotion in enumerate(status.promotions):
        if promotion.revision == revision:
            return Revision(
                deployment=name,
                name=revision,
                since=promotion.time,
                until=status.promotions[index - 1].time if index else None,
                version=_version_name(promotion.model, promotion.version),
                uri=promotion.uri,
                digest=promotion.digest,
                evaluation=promotion.evaluation,
                gate_skipped=promotion.gate_skipped,
            )
    # While it is rolled out it answers, too.
    for one in status.revisions:
        if one.name == revision:
            model = deployment["spec"]["model"].get("name")
            return Revision(deployment=name, name=revision, version=_version_name(model, one.version))
    known = ", ".join(dict.fromkeys(one.revision for one in status.promotions)) or "none"
    raise Problem(
        f"modeldeployment {name} does not know revision {revision}: of those that served it remembers {known}"
    )


def trace(
    namespace: str,
    *,
    revision: Revision | None = None,
    name: str | None = None,
    version: Body | None = None,
    job: Body | None = None,
    policy: Body | None = None,
    deployment: Body | None = None,
) -> Lineage:
    """The whole way back. `name` is the ModelVersion's; what is None was not there when it was looked for."""
    if version is None:
        words = (
            "is gone, and what was recorded on it with it"
            if name
            else "none: files are served by their address (spec.model.uri); where they come from is not recorded"
        )
        return Lineage(namespace=namespace, revision=revision, name=name, unknown={"version": words})
    spec = _read(ModelVersionSpec, version["spec"])
    return Lineage(
        namespace=namespace,
        revision=revision,
        name=name,
        version=spec,
        training=_training(spec, job),
        cause=_cause(spec, policy, deployment),
        unknown=_unknown(spec),
    )


def _training(spec: ModelVersionSpec, job: Body | None) -> Training | None:
    reference = spec.training_job
    if reference is None:
        return None
    # Another of that name trained something else.
    same = job is not None and job["metadata"]["uid"] == reference.uid
    status = _read(TrainingJobStatus, job.get("status") or {}) if job and same else None
    return Training(name=reference.name, uid=reference.uid, status=status)


def _cause(spec: ModelVersionSpec, policy: Body | None, deployment: Body | None) -> Cause | None:
    if spec.retrain is None:
        return None
    runs = _read(RetrainPolicyStatus, policy.get("status") or {}).runs if policy else []
    # A policy that was made again counts on; a number alone could be another run's.
    run = next((one for one in runs if one.number == spec.retrain.run and _is_cause(one, spec)), None)
    served = _read(ModelDeploymentStatus, deployment.get("status") or {}).promotions if deployment else []
    measured = next((one for one in served if one.revision == spec.retrain.cause.revision), None)
    return Cause(
        retrain=spec.retrain,
        policy_exists=policy is not None,
        run=run,
        measured=_version_name(measured.model, measured.version) if measured else None,
    )


def _is_cause(run: Run, spec: ModelVersionSpec) -> bool:
    return run.training_job is None or spec.training_job is None or run.training_job == spec.training_job.name


def _unknown(spec: ModelVersionSpec) -> dict[str, str]:
    by_hand = spec.training_job is None
    unknown = {}
    if not spec.inputs:
        unknown["data"] = "not recorded: " + (
            "the ModelVersion names no inputs"
            if by_hand
            else "the TrainingJob has no spec.inputs; what the training read by itself is not known"
        )
    if spec.code is None:
        unknown["code"] = (
            "not recorded: " + ("the ModelVersion" if by_hand else "the TrainingJob") + " has no spec.code"
        )
    if spec.image is None:
        unknown["image"] = "not recorded"
    if by_hand:
        unknown["training"] = "not by Perennial: the ModelVersion was applied by hand"
    if spec.retrain is None:
        unknown["cause"] = "not known: " + (
            "no RetrainPolicy is named"
            if by_hand
            else "the TrainingJob was made by hand; no RetrainPolicy is on record"
        )
    return unknown


def _version_name(model: str | None, version: int | None) -> str | None:
    return f"{model}-{version}" if model and version else None


def _read(model: type[Any], body: Body) -> Any:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Problem(
            f"{place} cannot be read ({first['msg']}): is this kubectl-perennial older than the operator?"
        ) from None
