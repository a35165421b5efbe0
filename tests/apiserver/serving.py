"""A ModelDeployment of one namespace as a person uses it, and the kubelet of its pods, for the test to play."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.api.resources import DEPLOYMENTS, MODELDEPLOYMENTS, MODELVERSIONS, PODS, SERVICES
from perennial.plan import Body
from tests.apiserver.operators import eventually
from tests.apiserver.space import Space

SERVER = {"name": "server", "image": "server:1"}
LOAD_FAILED = json.dumps({"error": {"reason": "ModelLoadFailed", "message": "not a model at all"}})


class Serving:
    """The ModelDeployment `churn` of one namespace, its versions, and the kubelet of its pods."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def deploy(self, **spec: Any) -> None:
        plain = {"model": {"name": "churn"}, "template": {"spec": {"containers": [SERVER]}}, "scaleDownDelay": "1s"}
        metadata = {"name": "churn", "namespace": self.space.name}
        kind = {"apiVersion": MODELDEPLOYMENTS.api_version, "kind": MODELDEPLOYMENTS.kind}
        self.space.create({**kind, "metadata": metadata, "spec": plain | spec})

    def version(self, number: int, **spec: Any) -> None:
        plain = {
            "model": "churn",
            "version": number,
            "uri": f"s3://acme/churn/{number}",
            "digest": f"sha256:{number:064x}",
            "format": "sklearn",
        }
        metadata = {"name": f"churn-{number}", "namespace": self.space.name}
        kind = {"apiVersion": MODELVERSIONS.api_version, "kind": MODELVERSIONS.kind}
        self.space.create({**kind, "metadata": metadata, "spec": plain | spec})

    def edit(self, **spec: Any) -> None:
        self.space.patch(MODELDEPLOYMENTS, "churn", {"spec": spec})

    def asks(self, what: str, value: str) -> None:
        """A person's request by annotation."""
        annotations = {f"perennial.dev/{what}": value}
        self.space.patch(MODELDEPLOYMENTS, "churn", {"metadata": {"annotations": annotations}})

    @property
    def status(self) -> Body:
        return (self.space.get(MODELDEPLOYMENTS, "churn") or {}).get("status") or {}

    def says(self, type_: str, status: str, reason: str, seconds: float = 20.0) -> str:
        """The message of a condition, once it has this status and reason."""
        found: Body = {}

        def said() -> bool:
            found.update({one["type"]: one for one in self.status.get("conditions") or ()})
            one = found.get(type_) or {}
            return (one.get("status"), one.get("reason")) == (status, reason)

        try:
            eventually(said, seconds)
        except AssertionError:
            pytest.fail(f"{type_}={status} {reason} is not said: {json.dumps(self.status, indent=1)}")
        return str(found[type_]["message"])

    def rolling(self) -> str:
        """The revision that is rolled out, as soon as it has a Deployment."""
        revision = eventually(lambda: (self.status.get("rollout") or {}).get("revision"))
        self.space.there(DEPLOYMENTS, str(revision))
        return str(revision)

    def pods(self, revision: str, number: int = 1) -> list[Body]:
        """The pods of a revision, as soon as there are so many."""

        def there() -> list[Body] | None:
            label = "perennial.dev/revision"
            pods = [pod for pod in self.space.every(PODS) if pod["metadata"]["labels"].get(label) == revision]
            return pods if len(pods) >= number else None

        return eventually(there) or []

    def ready(self, revision: str, number: int = 1, address: str = "127.0.0.1") -> None:
        """As the kubelet writes it when the readiness probe succeeds."""
        for pod in self.pods(revision, number):
            now = format_time(datetime.now(UTC))
            condition = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            status = {"phase": "Running", "conditions": [condition], "podIP": address, "podIPs": [{"ip": address}]}
            self.space.patch(PODS, pod["metadata"]["name"], {"status": status}, "status")

    def ended(self, revision: str, code: int, message: str, restarts: int = 0) -> None:
        """The server's container ended and is restarted."""
        for pod in self.pods(revision):
            container = {
                "name": SERVER["name"],
                "image": SERVER["image"],
                "imageID": "",
                "ready": False,
                "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": message}},
            }
            status = {"phase": "Running", "containerStatuses": [container]}
            self.space.patch(PODS, pod["metadata"]["name"], {"status": status}, "status")

    def asker(self, label: str) -> Body:
        """The pod of a Job that asks the new revision something, as soon as the Job controller has made it."""

        def there() -> Body | None:
            pods = [pod for pod in self.space.every(PODS) if label in pod["metadata"]["labels"]]
            return next((pod for pod in pods if pod["status"]["phase"] == "Pending"), None)

        return eventually(there, 30) or {}

    def asked(self, pod: Body, code: int, message: str) -> None:
        """Its container has ended."""
        ended: Body = {"exitCode": code, "message": message, "finishedAt": "2026-11-20T12:00:00Z"}
        name = pod["spec"]["containers"][0]["name"]
        container: Body = {"name": name, "image": "agent:1", "imageID": "", "restartCount": 0, "ready": False}
        container |= {"state": {"terminated": ended | {"startedAt": "2026-11-20T12:00:00Z"}}}
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
        self.space.patch(PODS, pod["metadata"]["name"], {"status": status}, "status")

    def serve_first(self, **spec: Any) -> str:
        """Version 1 serves, and all is at rest. Its revision."""
        self.version(1)
        self.deploy(**spec)
        revision = self.rolling()
        self.ready(revision, spec.get("replicas", 1))
        self.says("Ready", "True", "Serving")
        return revision

    def pinned(self, service_name: str = "churn") -> str | None:
        service = self.space.there(SERVICES, service_name)
        return service["spec"]["selector"].get("perennial.dev/revision")

    def wanted(self, revision: str) -> int | None:
        deployment = self.space.get(DEPLOYMENTS, revision)
        return deployment["spec"]["replicas"] if deployment else None
