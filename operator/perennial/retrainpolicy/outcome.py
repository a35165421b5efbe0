"""What became of a run's ModelVersion: what people and the deployment say of it."""

from perennial.api.modeldeployment import NOT_APPROVED, Candidate, ModelDeploymentStatus
from perennial.api.modelversion import DeploymentState, ModelVersionSpec
from perennial.api.retrainpolicy import RunPhase
from perennial.plan import Body

_OF_STATE = {
    DeploymentState.ROLLING_OUT: RunPhase.ROLLING_OUT,
    DeploymentState.WAITING: RunPhase.DECIDING,
    DeploymentState.REJECTED: RunPhase.REJECTED,
    DeploymentState.VETOED: RunPhase.ROLLED_BACK,
    DeploymentState.SUPERSEDED: RunPhase.SUPERSEDED,
}


def outcome(version: Body, deployment: Body | None, serving: ModelDeploymentStatus) -> tuple[RunPhase, str]:
    """The phase of the run that a version came of, and why, in words."""
    spec = ModelVersionSpec.model_validate(version["spec"])
    name = version["metadata"]["name"]
    if deployment is None:
        return RunPhase.DECIDING, "the ModelDeployment is gone: nobody decides whether to serve it"
    if any((one.model, one.version) == (spec.model, spec.version) for one in serving.promotions):
        return RunPhase.PROMOTED, f"{name} is served by {deployment['metadata']['name']}"
    if spec.approval == "Rejected":
        return RunPhase.REJECTED, f"{name} was rejected by {spec.approved_by or 'a person'}"
    for veto in serving.vetoes:
        if veto.version == spec.version and not veto.evaluation:
            return RunPhase.ROLLED_BACK, f"{name}: {veto.message}"
    if candidate := _candidate(spec.version, serving):
        phase = RunPhase.AWAITING_APPROVAL if candidate.reason == NOT_APPROVED else _OF_STATE[candidate.state]
        return phase, f"{name}: {candidate.message or candidate.reason}"
    served = [one.version for one in serving.promotions if one.version and one.model == spec.model]
    if served and max(served) > spec.version:
        return RunPhase.SUPERSEDED, f"{name} never took over: version {max(served)} did"
    pinned = (deployment["spec"].get("model") or {}).get("version")
    if pinned:
        return RunPhase.DECIDING, f"{name} waits: the deployment stays at version {pinned} (spec.model.version)"
    return RunPhase.DECIDING, f"{name} waits for the deployment to look at it"


def _candidate(version: int, serving: ModelDeploymentStatus) -> Candidate | None:
    found = (one for one in serving.candidates if one.version == version and one.state in _OF_STATE)
    return next(found, None)
