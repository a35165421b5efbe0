"""RetrainPolicy: watches what a deployment reports and what time it is, and trains its model again."""

from collections.abc import Iterable

from perennial.api.meta import ANNOTATION_RETRAINPOLICY_UID, LABEL_RETRAINPOLICY
from perennial.api.resources import (
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
)
from perennial.plan import Body
from perennial.retrainpolicy.decide import decide
from perennial.retrainpolicy.snapshot import gather
from perennial.view import Controller, Name, View, owner_of


def _of_job(view: View, job: Body) -> Iterable[Name]:
    """The policy of a run: by the label, or by its uid where somebody took the label off."""
    metadata = job["metadata"]
    namespace, policy = metadata["namespace"], (metadata.get("labels") or {}).get(LABEL_RETRAINPOLICY)
    if policy:
        return [Name(namespace, policy)]
    uid = (metadata.get("annotations") or {}).get(ANNOTATION_RETRAINPOLICY_UID)
    policies = (one["metadata"] for one in view.list(RETRAINPOLICIES, namespace)) if uid else ()
    return [Name(namespace, one["name"]) for one in policies if one["uid"] == uid]


def _of_version(_: View, version: Body) -> Iterable[Name]:
    origin = version["spec"].get("retrain")
    return [Name(version["metadata"]["namespace"], origin["policy"])] if origin else []


def _of_pod(_: View, pod: Body) -> Iterable[Name]:
    policy = (pod["metadata"].get("labels") or {}).get(LABEL_RETRAINPOLICY)
    return [Name(pod["metadata"]["namespace"], policy)] if policy else []


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
        JOBS: owner_of(RETRAINPOLICIES),
        PODS: _of_pod,
    },
)
