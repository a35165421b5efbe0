"""A namespace of a real API server with its controllers, as a person uses it, and what the operator wrote in it."""

import json
import time
import urllib.error
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import EVENTS, METRICSERIES, MODELDEPLOYMENTS, TRAININGJOBS, Resource, of
from perennial.metricseries.series import Sample, fold
from perennial.plan import Body
from tests.apiserver.operators import USER, eventually

MERGE = "application/merge-patch+json"
WRITES = ("create", "update", "patch", "delete")


class Space:
    """A new namespace, ready for pods."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        made = server.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "run-"}})
        self.name = str(made["metadata"]["name"])
        account = f"/api/v1/namespaces/{self.name}/serviceaccounts/default"
        eventually(lambda: self._read(account))

    def _read(self, path: str) -> Body | None:
        try:
            body: Body = self.server.request("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return body

    def create(self, body: Body) -> Body:
        """Make an object. HTTPError with the server's words when it is refused."""
        made: Body = self.server.request("POST", of(body).path(self.name), body)
        return made

    def train(self, name: str, **spec: Any) -> Body:
        """A TrainingJob as a person writes it; `spec` is laid over a plain one."""
        container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
        plain = {
            "model": {"name": "churn"},
            "template": {"spec": {"containers": [container]}},
            "output": {"uri": "s3://acme/models"},
        }
        return self.make(TRAININGJOBS, name, plain | spec)

    def make(self, resource: Resource, name: str, spec: Body) -> Body:
        """Make an object of this name and spec."""
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        return self.create(head | {"metadata": {"name": name}, "spec": spec})

    def measured(
        self, deployment: str, metric: str, value: float, count: int = 50, revision: str | None = None
    ) -> None:
        """What the ingest endpoint would write of so many samples of a revision, by default the stable one."""
        now = datetime.now(UTC)
        revision = revision or str(self.there(MODELDEPLOYMENTS, deployment)["status"]["stableRevision"])
        before = self.get(METRICSERIES, deployment)
        body = fold(before, [Sample(metric, value, now.timestamp(), revision, count)], now)
        if before:
            self.patch(METRICSERIES, deployment, {"status": body["status"]})
        else:
            head = {"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind}
            self.create(head | {"metadata": {"name": deployment}} | body)

    def get(self, resource: Resource, name: str) -> Body | None:
        """An object, or None."""
        return self._read(resource.path(self.name, name))

    def there(self, resource: Resource, name: str) -> Body:
        """An object, as soon as it is there."""
        return eventually(lambda: self.get(resource, name)) or {}

    def every(self, resource: Resource) -> list[Body]:
        """All objects."""
        items: list[Body] = self.server.request("GET", resource.path(self.name))["items"]
        return items

    def patch(self, resource: Resource, name: str, patch: Body, subresource: str | None = None) -> Body:
        """Merge patch by hand."""
        path = resource.path(self.name, name, subresource)
        patched: Body = self.server.request("PATCH", path, patch, MERGE)
        return patched

    def edit(self, name: str, **spec: Any) -> Body:
        """Change fields of a TrainingJob's spec."""
        return self.patch(TRAININGJOBS, name, {"spec": spec})

    def delete(self, resource: Resource, name: str) -> None:
        """Delete as kubectl does."""
        self.server.request("DELETE", resource.path(self.name, name), {"propagationPolicy": "Background"})

    def status(self, name: str) -> Body:
        """The status of a TrainingJob; empty before the first one."""
        return (self.get(TRAININGJOBS, name) or {}).get("status") or {}

    def reaches(self, name: str, phase: str, seconds: float = 20.0) -> Body:
        """The status of a TrainingJob once it is in this phase."""
        deadline = time.monotonic() + seconds
        while (status := self.status(name)).get("phase") != phase:
            assert time.monotonic() < deadline, f"{name} is not {phase} after {seconds:g} s: {status}"
            time.sleep(0.1)
        return status

    def says(self, name: str, type_: str, reason: str, seconds: float = 15.0) -> str:
        """The message of a TrainingJob's condition that is True, once it has this reason."""
        deadline = time.monotonic() + seconds
        while True:
            conditions = self.status(name).get("conditions") or ()
            for condition in conditions:
                if (condition["type"], condition["status"], condition["reason"]) == (type_, "True", reason):
                    return str(condition["message"])
            assert time.monotonic() < deadline, f"{name} does not say {type_}={reason}: {conditions}"
            time.sleep(0.1)

    def events(self, name: str) -> list[Body]:
        """The operator's Events on an object."""
        ours = [one for one in self.every(EVENTS) if one["source"].get("component") == "perennial"]
        return [one for one in ours if one["involvedObject"]["name"] == name]

    def requests(self) -> Counter[str]:
        """What the operator asked for in this namespace and got, Events apart, as `verb resource/subresource`; the verb
        of a dry run is `try`."""
        counted: Counter[str] = Counter()
        for line in self.server.audit_log.read_text().splitlines():
            if self.name not in line or f'"username":"{USER}"' not in line:
                continue
            entry = json.loads(line)
            about = entry["objectRef"]
            if about["resource"] != "events" and about.get("namespace") == self.name:
                part = f"/{about['subresource']}" if "subresource" in about else ""
                verb = "try" if "dryRun=All" in entry["requestURI"] else entry["verb"]
                counted[f"{verb} {about['resource']}{part}"] += entry["responseStatus"]["code"] < 400
        return +counted

    def writes(self) -> int:
        """How often the operator wrote in this namespace."""
        return sum(count for what, count in self.requests().items() if what.split()[0] in WRITES)

    def rests(self, seconds: float = 2.0, within: float = 30.0) -> None:
        """Wait until the operator has asked for nothing in this namespace for so long."""
        deadline, known, since = time.monotonic() + within, self.requests(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.2)
            if (now := self.requests()) != known:
                known, since = now, time.monotonic()
            assert time.monotonic() < deadline, f"it does not come to rest: {known}"

    def idle(self, seconds: float) -> None:
        """Assert that the operator asks for nothing in this namespace any more."""
        before = self.requests()
        time.sleep(seconds)
        assert self.requests() == before
