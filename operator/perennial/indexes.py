"""What the view finds objects by, besides name and owner, so that a decision never goes through a whole namespace."""

from collections.abc import Mapping

from perennial.api.meta import LABEL_MODELDEPLOYMENT
from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS, PODS, TRAININGJOBS, Resource
from perennial.plan import Body
from perennial.view import Index


def _of_run(run: Body) -> str | None:
    """The model that a run was trained for: an edit after its start moves it nowhere."""
    result: Body = (run.get("status") or {}).get("result") or {}
    trained: str | None = (result.get("origin") or {}).get("model")
    return trained or _of_deployment(run)


def _of_version(version: Body) -> str | None:
    model: str | None = version["spec"].get("model")
    return model


def _of_deployment(deployment: Body) -> str | None:
    model: str | None = (deployment["spec"].get("model") or {}).get("name")
    return model


def _of_pod(pod: Body) -> str | None:
    deployment: str | None = (pod["metadata"].get("labels") or {}).get(LABEL_MODELDEPLOYMENT)
    return deployment


# Runs, versions and deployments by the name of their model, pods by the name of their ModelDeployment.
INDEXES: Mapping[Resource, Index] = {
    TRAININGJOBS: _of_run,
    MODELVERSIONS: _of_version,
    MODELDEPLOYMENTS: _of_deployment,
    PODS: _of_pod,
}
