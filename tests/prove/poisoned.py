"""A small world in which anything may be hostile: every kind once, its children, and names that lead to each other."""

from typing import Any

from hypothesis import strategies as st

from perennial.api import meta
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    OWN_KINDS,
    PODS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.plan import Body
from tests.prove import hostile
from tests.prove.hostile import DIGEST, Strategy

NAMESPACE = "poison"
PLAIN_TEMPLATE = {"spec": {"containers": [{"name": "main", "image": "train:1", "command": ["train"]}]}}
TRAINING = {
    "model": {"name": "churn"},
    "template": PLAIN_TEMPLATE,
    "output": {"uri": "s3://acme/models", "mode": "Managed"},
    "backoffLimit": 3,
}
VERSION = {"model": "churn", "version": 1, "uri": "s3://acme/churn", "digest": DIGEST, "format": "sklearn"}
# What a person would write: the spec of each kind, by name.
SPECS: dict[Resource, dict[str, Body]] = {
    TRAININGJOBS: {
        "run": TRAINING | {"activeDeadlineSeconds": 60, "pendingDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60},
        "policy-1": TRAINING,
        "wide": TRAINING
        | {
            "distribution": {"framework": "torch", "elastic": {"minNodes": 1, "maxNodes": 2}},
            "failureRules": [{"action": "RestartUncounted", "message": "*"}],
        },
    },
    MODELS: {"churn": {}},
    MODELVERSIONS: {"churn-1": VERSION, "churn-2": VERSION | {"version": 2, "approval": "Rejected"}},
    MODELDEPLOYMENTS: {
        "shop": {
            "model": {"name": "churn"},
            "template": {"spec": {"containers": [{"name": "server", "image": "serve:1"}]}},
            "replicas": 2,
            "gate": {"metrics": [{"name": "accuracy", "min": 0.5, "noWorseThanChampionBy": 0.1}]},
        }
    },
    RETRAINPOLICIES: {
        "policy": {
            "deployment": {"name": "shop"},
            "trainingJobTemplate": {"spec": TRAINING},
            "triggers": [
                {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.8}},
                {"name": "churn", "metric": {"name": "accuracy", "above": 5, "aggregate": "Sum", "window": "720h"}},
                {"name": "request-1", "schedule": {"cron": "* * * * *", "startingDeadlineSeconds": 60}},
            ],
            "budget": {"runs": 3, "acceleratorHours": 8, "per": "24h"},
            "cooldown": "1h",
            "concurrencyPolicy": "Allow",
        }
    },
    METRICSERIES: {"shop": {}},
}
# Children: whose they are, and what the API server lets be written on them.
CHILDREN: dict[tuple[Resource, str], tuple[Resource | None, str, Strategy]] = {
    (JOBS, "run"): (TRAININGJOBS, "run", hostile.job_status),
    (JOBS, "run-recover"): (TRAININGJOBS, "run", hostile.job_status),
    (JOBS, "wide"): (TRAININGJOBS, "wide", hostile.job_status),
    (JOBS, "wide-a2"): (TRAININGJOBS, "wide", hostile.job_status),
    (PODS, "wide-a"): (JOBS, "wide", hostile.pod_status),
    (PODS, "wide-b"): (JOBS, "wide", hostile.pod_status),
    (PODS, "wide-a2-a"): (JOBS, "wide-a2", hostile.pod_status),
    (PODS, "run-a"): (JOBS, "run", hostile.pod_status),
    (PODS, "run-b"): (JOBS, "run", hostile.pod_status),
    (PODS, "recover-a"): (JOBS, "run-recover", hostile.pod_status),
    (DEPLOYMENTS, "shop-0123456789"): (MODELDEPLOYMENTS, "shop", hostile.deployment_status),
    (DEPLOYMENTS, "shop-1"): (MODELDEPLOYMENTS, "shop", hostile.deployment_status),
    (PODS, "shop-a"): (None, "", hostile.pod_status),
    (SERVICES, "shop"): (MODELDEPLOYMENTS, "shop", st.just({})),
}


def uid(resource: Resource, name: str) -> str:
    return f"uid-{resource.plural}-{name}"


def body(resource: Resource, name: str, number: int = 1) -> Body:
    """An object as the API server gives it."""
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid(resource, name),
        "resourceVersion": str(number),
        "generation": 1,
        "creationTimestamp": "2026-11-21T12:00:00Z",
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _own(resource: Resource, name: str, plain: Body) -> Strategy:
    def made(parts: dict[str, Any]) -> Body:
        made = body(resource, name)
        if resource not in (MODELS, METRICSERIES):
            made["spec"] = plain | (parts["spec"] or {})
        made |= {"status": parts["status"]} if parts["status"] else {}
        made["metadata"] |= {key: parts[key] for key in ("labels", "annotations") if parts[key]}
        return made

    spec = hostile.spec(resource) if resource not in (MODELS, METRICSERIES) else st.none()
    return st.fixed_dictionaries(
        {
            "status": st.none() | hostile.status(resource),
            "labels": st.none() | hostile.labels,
            "annotations": st.none() | hostile.annotations,
            "spec": st.one_of(st.none(), st.none(), st.none(), spec),
        }
    ).map(made)


def _child(resource: Resource, name: str, owner: Resource | None, owner_name: str, status: Strategy) -> Strategy:
    ours = {"apiVersion": meta.API_VERSION, "kind": owner.kind, "name": owner_name, "controller": True} if owner else {}
    ours |= {"uid": uid(owner, owner_name)} if owner else {}
    uids = [uid(owner, owner_name)] if owner else []

    def made(parts: dict[str, Any]) -> Body:
        made = body(resource, name)
        known = {meta.LABEL_OWNED: "true", meta.LABEL_MODELDEPLOYMENT: "shop", meta.LABEL_REVISION: "shop-0123456789"}
        known |= {meta.LABEL_ATTEMPT: "2"} if name.endswith("-a2") else {}
        made["metadata"] |= {"labels": known | (parts["labels"] or {})}
        made["metadata"] |= {"annotations": parts["annotations"]} if parts["annotations"] else {}
        references = [ours] if parts["owners"] is None and owner else parts["owners"]
        made["metadata"] |= {"ownerReferences": references} if references else {}
        made |= {"spec": parts["spec"], "status": parts["status"]}
        return made

    return st.fixed_dictionaries(
        {
            "status": status,
            "labels": st.none() | hostile.labels,
            "annotations": st.none() | hostile.annotations,
            "owners": st.none() | hostile.owners(owner.kind if owner else "Job", owner_name or "run", uids),
            "spec": st.sampled_from([{}, {"replicas": 2}, {"suspend": True}, {"selector": {"a": "b"}}]),
        }
    ).map(made)


def _worlds() -> Strategy:
    parts = {
        (resource, name): _own(resource, name, spec) for resource in OWN_KINDS for name, spec in SPECS[resource].items()
    }
    parts |= {key: _child(*key, *how) for key, how in CHILDREN.items()}
    return st.tuples(*(st.none() | part if key != (TRAININGJOBS, "run") else part for key, part in parts.items()))


# Each is the bodies that are there.
worlds = _worlds().map(lambda bodies: [one for one in bodies if one is not None])
