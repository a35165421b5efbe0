"""The objects of a ModelDeployment: a Deployment for each revision, and the Service."""

from collections.abc import Iterator

from perennial.api.base import digest_of
from perennial.api.meta import (
    ANNOTATION_RENDERED,
    LABEL_MODELDEPLOYMENT,
    LABEL_OWNED,
    LABEL_REVISION,
    LABEL_RUNTIME,
)
from perennial.api.modeldeployment import ModelDeploymentSpec
from perennial.api.resources import MODELDEPLOYMENTS, SERVICES, Resource
from perennial.config import Config
from perennial.modeldeployment.pod import PORT_NAME, pod_template, revision_labels, runtime_of
from perennial.modeldeployment.revision import Model
from perennial.modeldeployment.snapshot import Snapshot
from perennial.owners import controller_reference
from perennial.plan import Action, Apply, Body, Patch

SERVICE_PORT = 80


def deployment(
    seen: Snapshot, spec: ModelDeploymentSpec, model: Model, revision: str, replicas: int, config: Config
) -> Body:
    """The Deployment of a revision; made once, later only its replicas change. Unrenderable as `pod_template`."""
    template = pod_template(seen.namespace, seen.name, spec, model, revision, config)
    selector = {LABEL_MODELDEPLOYMENT: seen.name, LABEL_REVISION: revision}
    runtime = runtime_of(spec, model.format, config.serving_runtimes)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **_metadata(seen, revision),
            "labels": revision_labels(seen.name, model, revision) | ({LABEL_RUNTIME: runtime} if runtime else {}),
            "annotations": {ANNOTATION_RENDERED: digest_of(template)},
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector},
            "template": template,
        },
    }


def known(seen: Snapshot, revision: str) -> Body:
    """By what the Deployment of a revision is known: its name, its owner, and the labels that it is seen by."""
    labels = {LABEL_OWNED: "true", LABEL_MODELDEPLOYMENT: seen.name, LABEL_REVISION: revision}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**_metadata(seen, revision), "labels": labels}}


def service(seen: Snapshot, name: str, revision: str | None) -> Body:
    """A Service, pinned to one revision, or open to the ready pods of all."""
    spec = {
        "selector": all_pods(seen) | ({LABEL_REVISION: revision} if revision else {}),
        "ports": [{"name": PORT_NAME, "port": SERVICE_PORT, "protocol": "TCP", "targetPort": PORT_NAME}],
    }
    return beside(seen, SERVICES, name, spec)


def address(seen: Snapshot, service: str) -> str:
    """Where a Service answers inside the cluster."""
    return f"http://{service}.{seen.namespace}.svc"


def all_pods(seen: Snapshot) -> dict[str, str]:
    """The label that selects the pods of all revisions."""
    return {LABEL_MODELDEPLOYMENT: seen.name}


def beside(seen: Snapshot, resource: Resource, name: str, spec: Body) -> Body:
    """A child that is of no revision."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {**_metadata(seen, name), "labels": {LABEL_OWNED: "true", **all_pods(seen)}},
        "spec": spec,
    }


def exactly(resource: Resource, intent: Body, there: Body | None) -> Iterator[Action]:
    """A child of which nothing is anybody else's."""
    yield Apply(intent, whole=True)
    # An apply leaves what it does not name, and the defaults of what it named before.
    left: Body = {key: None for key in (there or {}).get("spec", {}) if intent["spec"].get(key) is None}
    if there and left:
        metadata = there["metadata"]
        yield Patch(resource, metadata["namespace"], metadata["name"], {"spec": left}, metadata["uid"])


def _metadata(seen: Snapshot, name: str) -> Body:
    return {
        "name": name,
        "namespace": seen.namespace,
        "ownerReferences": [controller_reference(MODELDEPLOYMENTS, seen.name, seen.uid)],
    }
