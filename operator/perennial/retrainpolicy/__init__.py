"""RetrainPolicy: watches what a deployment reports and what time it is, and trains its model again."""

from collections.abc import Iterable

from perennial.api.meta import LABEL_RETRAINPOLICY
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from perennial.retrainpolicy.decide import decide
from perennial.retrainpolicy.snapshot import gather
from perennial.view import Controller, Name, View


def _of_job(_: View, job: Body) -> Iterable[Name]:
    policy = (job["metadata"].get("labels") or {}).get(LABEL_RETRAINPOLICY)
    return [Name(job["metadata"]["namespace"], policy)] if policy else []


def _of_version(_: View, version: Body) -> Iterable[Name]:
    origin = version["spec"].get("retrain")
    return [Name(version["metadata"]["namespace"], origin["policy"])] if origin else []


def _of_deployment(view: View, body: Body) -> Iterable[Name]:
    """The policies of a deployment; its metrics have its name."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    for policy in view.list(RETRAINPOLICIES, namespace):
        if policy["spec"]["deployment"]["name"] == name:
            yield Name(namespace, policy["metadata"]["name"])


CONTROLLER = Controller(
    resource=RETRAINPOLICIES,
    gather=gather,
    decide=decide,
    watches={
        TRAININGJOBS: _of_job,
        MODELVERSIONS: _of_version,
        MODELDEPLOYMENTS: _of_deployment,
        METRICSERIES: _of_deployment,
    },
)
