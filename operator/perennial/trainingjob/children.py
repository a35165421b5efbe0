"""The objects of a TrainingJob: its Job with the pod of the run contract, the recovery Job, the default claim."""

import json

from perennial.api.meta import (
    ANNOTATION_CHAMPION,
    ANNOTATION_RUNTIME,
    ANNOTATION_SPEC,
    ANNOTATION_SPEC_HASH,
    DEFAULT_CLAIM,
    LABEL_ATTEMPT,
    LABEL_MODEL,
    LABEL_OWNED,
    LABEL_TRAININGJOB,
)
from perennial.api.resources import TRAININGJOBS
from perennial.api.task import RecoverTask
from perennial.api.trainingjob import TrainingJobSpec
from perennial.config import Config
from perennial.jobs import DISRUPTIONS_IGNORED, agent_job
from perennial.owners import controller_reference
from perennial.plan import Body
from perennial.pods import agent_container, claim_mounts, overlay
from perennial.trainingjob import podtemplate
from perennial.trainingjob.gang import job_name, service_name
from perennial.trainingjob.snapshot import Snapshot, recovery_name
from perennial.trainingjob.spec import destination, note, spec_hash


def job(snapshot: Snapshot, spec: TrainingJobSpec, config: Config, attempt: int) -> Body:
    """The Job of a run, or of an attempt. InvalidSpec when the template, with its preset, makes no training pod."""
    preset = podtemplate.preset(snapshot, spec, config)
    template = dict(spec.template) if preset is None else overlay(preset, spec.template)
    pod = podtemplate.pod(snapshot, spec, template.get("spec") or {}, config)
    metadata = template.get("metadata") or {}
    annotations = {ANNOTATION_SPEC_HASH: spec_hash(snapshot.body), ANNOTATION_SPEC: note(snapshot.body, spec)}
    if snapshot.champion:
        annotations[ANNOTATION_CHAMPION] = json.dumps(snapshot.champion.body())
    made = _metadata(snapshot, spec, job_name(snapshot.name, attempt)) | {"annotations": annotations}
    labels = _labels(snapshot, spec)
    if spec.by_attempt:
        labels[LABEL_ATTEMPT] = made["labels"][LABEL_ATTEMPT] = str(attempt)
        if preset is not None:
            annotations[ANNOTATION_RUNTIME] = json.dumps(preset)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": made,
        "spec": {
            **_goes(spec),
            "suspend": False,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}},
                "spec": pod,
            },
        },
    }


def _goes(spec: TrainingJobSpec) -> Body:
    """How many pods there are at once, and how often they are tried."""
    if not spec.by_attempt:
        return {
            "backoffLimit": spec.backoff_limit,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": DISRUPTIONS_IGNORED,
        }
    goes: Body = {"backoffLimit": 0, "completions": spec.nodes, "parallelism": spec.nodes}
    if spec.distribution:
        goes["completionMode"] = "Indexed"
        if spec.distribution.by_leader:
            goes["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
        if spec.distribution.elastic:
            goes["podFailurePolicy"] = DISRUPTIONS_IGNORED
    return goes


def service(snapshot: Snapshot) -> Body:
    """The headless Service that gives the nodes of a run their names, before they are ready too."""
    assert snapshot.spec
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(snapshot, snapshot.spec, service_name(snapshot.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL_TRAININGJOB: snapshot.name},
        },
    }


def recovery(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> Body:
    """The Job that reads the result of a complete run whose message was lost."""
    where = destination(snapshot, spec, config)
    claims = podtemplate.claims_of(where)
    container = agent_container(
        "recover",
        "recover",
        RecoverTask(destination=where),
        config,
        storage=spec.storage.secret_name if spec.storage else None,
        mounts=claim_mounts(claims, read_only=True),
    )
    metadata = _metadata(snapshot, spec, recovery_name(snapshot.name))
    return agent_job(metadata, _labels(snapshot, spec), container, claims, {"backoffLimit": 3})


def claim(namespace: str, config: Config) -> Body:
    """The namespace's claim for models, when nobody named an output."""
    chosen = config.defaults.claim
    spec: Body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": chosen.size}}}
    if chosen.storage_class_name:
        spec["storageClassName"] = chosen.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": DEFAULT_CLAIM, "namespace": namespace, "labels": {LABEL_OWNED: "true"}},
        "spec": spec,
    }


def _labels(snapshot: Snapshot, spec: TrainingJobSpec) -> dict[str, str]:
    return {LABEL_OWNED: "true", LABEL_TRAININGJOB: snapshot.name, LABEL_MODEL: spec.model.name}


def _metadata(snapshot: Snapshot, spec: TrainingJobSpec, name: str) -> Body:
    return {
        "name": name,
        "namespace": snapshot.namespace,
        "labels": _labels(snapshot, spec),
        "ownerReferences": [controller_reference(TRAININGJOBS, snapshot.name, snapshot.uid)],
    }
