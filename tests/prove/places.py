"""Namespaces with two users of the chart's roles: one who may write Perennial's kinds only, one with `edit`."""

from pathlib import Path
from typing import Any

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import (
    CHILD_KINDS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
    Resource,
)
from perennial.plan import Body
from tests.apiserver.charts import SYSTEM, Deployed, Refused, send
from tests.apiserver.operators import eventually
from tests.apiserver.space import MERGE, Space

# May write the kinds of Perennial, but no pods, Secrets or service accounts; and may do what `edit` may.
WRITER, EDITOR = "writer", "editor"
ROLES = {WRITER: f"{SYSTEM}-perennial-edit", EDITOR: "edit"}
DIGEST = "sha256:" + "0" * 64
ENFORCE = "pod-security.kubernetes.io/enforce"
FORBIDDEN = "may not create pods"


class Watched(Deployed):
    """The operator as the chart deploys it, noting where it connects."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        super().__init__(server, folder)
        self.notes = folder / "connections.jsonl"
        program, own = self._command[:2], self._command[2:]
        self._command = [*program, "tests.prove.connections", str(self.notes), *own]


class Place(Space):
    """A namespace that enforces a standard of Pod Security, where both users have their roles."""

    def __init__(self, server: ApiServer, enforce: str = "privileged") -> None:
        super().__init__(server)
        server.request("PATCH", f"/api/v1/namespaces/{self.name}", {"metadata": {"labels": {ENFORCE: enforce}}}, MERGE)
        for user, role in ROLES.items():
            binding = ("rolebinding", user, f"--clusterrole={role}", f"--user={user}")
            server.kubectl("create", *binding, "-n", self.name)
        server.kubectl("create", "serviceaccount", "robot", "-n", self.name)
        # Roles, bindings and policies come into force a moment after they are made.
        job = {"model": {"name": "m"}, "runtime": "any"}
        eventually(lambda: not self.refusal(EDITOR, TRAININGJOBS, "m", job, dry=True), 30)
        eventually(lambda: FORBIDDEN in self.refusal(WRITER, TRAININGJOBS, "m", job, dry=True), 30)

    def write(
        self, user: str, resource: Resource, name: str, spec: Body, *, dry: bool = False, **metadata: Any
    ) -> None:
        """Make an object of one of Perennial's kinds as that user; Refused when it is."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        body = {**kind, "metadata": {"name": name, **metadata}, "spec": spec}
        send(self.server, "POST", resource.path(self.name) + _dry(dry), body, user=user)

    def refusal(
        self, user: str, resource: Resource, name: str, spec: Body, *, dry: bool = False, **metadata: Any
    ) -> str:
        """The words with which that is refused; empty when it is not."""
        try:
            self.write(user, resource, name, spec, dry=dry, **metadata)
        except Refused as refused:
            return refused.message
        return ""

    def edit_refusal(self, user: str, resource: Resource, name: str, spec: Body, *, dry: bool = False) -> str:
        """The same for a change of an object's spec."""
        path = resource.path(self.name, name) + _dry(dry)
        try:
            send(self.server, "PATCH", path, {"spec": spec}, user=user, content_type=MERGE)
        except Refused as refused:
            return refused.message
        return ""

    def by_hand(self, user: str, template: Body) -> str:
        """The words with which a pod of this template is refused to that user; empty when they may make it."""
        metadata = {"generateName": "by-hand-", "labels": template["metadata"].get("labels") or {}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        try:
            send(self.server, "POST", PODS.path(self.name) + _dry(True), pod, user=user)
        except Refused as refused:
            return refused.message
        return ""

    def named(self, resource: Resource) -> dict[str, Body]:
        """All objects of a kind by name."""
        return {str(body["metadata"]["name"]): body for body in self.every(resource)}

    def pods(self, label: str) -> dict[str, Body]:
        """Pods by the value of one of Perennial's labels."""
        found = {pod["metadata"].get("labels", {}).get(f"perennial.dev/{label}"): pod for pod in self.every(PODS)}
        return {str(value): pod for value, pod in found.items() if value}

    def made(self) -> list[str]:
        """Everything here that an operator would make."""
        return [f"{resource.kind} {name}" for resource in _MADE for name in self.named(resource)]


_SECRETS = Resource("", "v1", "secrets", "Secret")
_MADE = (*CHILD_KINDS, Resource("apps", "v1", "replicasets", "ReplicaSet"))


def training(template: Body, **spec: Any) -> Body:
    """The spec of a TrainingJob of this pod template."""
    return {"model": {"name": "churn"}, "template": template, "output": {"uri": "s3://acme/models"}, **spec}


def serving(template: Body, **spec: Any) -> Body:
    """The spec of a ModelDeployment of this pod template, which serves files outside of any version."""
    model = {"uri": "s3://acme/models/1", "digest": DIGEST, "format": "sklearn"}
    return {"model": model, "template": template, **spec}


def retraining(template: Body, **spec: Any) -> Body:
    """The spec of a RetrainPolicy whose TrainingJobs have this pod template."""
    return {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": training(template)}, **spec}


KINDS = {TRAININGJOBS: training, MODELDEPLOYMENTS: serving, RETRAINPOLICIES: retraining}


def version(**spec: Any) -> Body:
    """The spec of a ModelVersion `churn-1`."""
    return {"model": "churn", "version": 1, "uri": "s3://acme/1", "digest": DIGEST, "format": "sklearn", **spec}


def within(found: Any, wanted: Any) -> bool:
    """Whether an object says all of what was wanted: every field, and every item of a list somewhere in its list."""
    if isinstance(wanted, dict):
        said = found if isinstance(found, dict) else {}
        return all(within(said.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(within(one, item) for one in found) for item in wanted)
    return bool(found == wanted)


def contents(server: ApiServer, namespace: str) -> dict[str, tuple[str, int | None]]:
    """What there is in a namespace, and whether it is what it was."""
    kinds = (*_MADE, _SECRETS, TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, MODELVERSIONS, MODELS)
    return {
        f"{kind.kind} {one['metadata']['name']}": (one["metadata"]["uid"], one["metadata"].get("generation"))
        for kind in kinds
        for one in server.request("GET", kind.path(namespace))["items"]
    }


def _dry(dry: bool) -> str:
    return "?dryRun=All" if dry else ""
