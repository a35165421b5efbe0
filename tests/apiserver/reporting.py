"""The ingest endpoint as a process of its own, and people who report to it, each with a token of the API server.

As a program (kubeconfig, operator's namespace, replica): serves until it is killed, and prints its port.
"""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import AUDIENCE
from perennial.api.resources import CONFIGMAPS, METRICSERIES, MODELDEPLOYMENTS
from perennial.ingest.auth import Reviewer
from perennial.ingest.clusterwide import ClusterReviewer
from perennial.ingest.namespaced import NamespaceReviewer
from perennial.ingest.published import PublishedKeys
from perennial.ingest.service import IngestService
from perennial.ingest.settings import Settings
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.plan import Body

ROOT = Path(__file__).parents[2]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# What the chart gives the operator for this in each namespace, of the cluster, and when it has no right of the cluster.
RIGHTS = [
    {"apiGroups": ["perennial.dev"], "resources": ["modeldeployments"], "verbs": ["get", "list"]},
    {"apiGroups": ["perennial.dev"], "resources": ["retrainpolicies"], "verbs": ["get"]},
    {"apiGroups": ["perennial.dev"], "resources": ["retrainpolicies/status"], "verbs": ["patch"]},
    {"apiGroups": ["perennial.dev"], "resources": ["metricseries"], "verbs": ["get", "create", "patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["perennial-ca"], "verbs": ["get", "patch"]},
]
CLUSTER_RIGHTS = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
NAMESPACED_RIGHTS = [
    {"apiGroups": [""], "resources": ["serviceaccounts", "pods"], "verbs": ["get"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"], "verbs": ["create"]},
]


class Answer(NamedTuple):
    """What a report was answered."""

    status: int
    body: Any
    headers: Any


class Place:
    """A namespace with a ModelDeployment `churn`, and who may report to it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        made = server.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "ingest-"}})
        self.name = str(made["metadata"]["name"])

    def deploy(self, name: str = "churn") -> Body:
        """A ModelDeployment."""
        body = {
            "apiVersion": MODELDEPLOYMENTS.api_version,
            "kind": MODELDEPLOYMENTS.kind,
            "metadata": {"name": name},
            "spec": {"model": {"name": name}},
        }
        made: Body = self.server.request("POST", MODELDEPLOYMENTS.path(self.name), body)
        return made

    def account(self, name: str) -> None:
        """A ServiceAccount without rights."""
        self.server.request("POST", f"/api/v1/namespaces/{self.name}/serviceaccounts", {"metadata": {"name": name}})

    def reporter(
        self, name: str = "monitor", deployments: Sequence[str] = (), right: str = "modeldeployments/metrics"
    ) -> str:
        """A ServiceAccount that may report, or post something else, and a token of it for us."""
        self.account(name)
        rule = {"apiGroups": ["perennial.dev"], "resources": [right], "verbs": ["create"]}
        rule |= {"resourceNames": list(deployments)} if deployments else {}
        path = f"{RBAC}/namespaces/{self.name}"
        self.server.request("POST", f"{path}/roles", {"metadata": {"name": name}, "rules": [rule]})
        self._bind(f"{path}/rolebindings", "Role", name)
        return self.token(name)

    def operator(self, scope: str = "Cluster") -> Path:
        """The kubeconfig of a ServiceAccount with exactly the operator's rights."""
        self.account("operator")
        role = f"{self.name}-operator"
        where, kind, rights = RBAC, "ClusterRole", [*RIGHTS, *CLUSTER_RIGHTS]
        if scope == "Namespaced":
            where, kind, rights = f"{RBAC}/namespaces/{self.name}", "Role", [*RIGHTS, *NAMESPACED_RIGHTS]
        self.server.request("POST", f"{where}/{kind.lower()}s", {"metadata": {"name": role}, "rules": rights})
        self._bind(f"{where}/{kind.lower()}bindings", kind, role)
        token = self.server.service_account_token(self.name, "operator")
        return self.server.write_kubeconfig(role, token)

    def token(self, account: str, audience: str = AUDIENCE) -> str:
        """A token of a ServiceAccount."""
        return self.server.service_account_token(self.name, account, audience)

    def series(self, name: str = "churn") -> Body:
        """The MetricSeries."""
        body: Body = self.server.request("GET", METRICSERIES.path(self.name, name))
        return body

    def counted(self, name: str = "churn") -> int:
        """All samples in it."""
        rows = self.series(name)["status"]["series"]
        lines = [line for row in rows for tier in ("minutes", "quarters", "days") for line in row.get(tier, ())]
        return sum(int(line.split(" ")[1]) for line in lines)

    def bundle(self) -> str:
        """What its clients trust."""
        return str(self.server.request("GET", CONFIGMAPS.path(self.name, "perennial-ca"))["data"]["ca.crt"])

    def _bind(self, path: str, kind: str, role: str) -> None:
        subject = {"kind": "ServiceAccount", "namespace": self.name, "name": role.removeprefix(f"{self.name}-")}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
        self.server.request("POST", path, {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]})


class Reporter:
    """Reports over TLS, trusting a bundle only, by keep-alive connections from an address of loopback."""

    def __init__(self, port: int, bundle: str, token: str | None, address: str = "127.0.0.1") -> None:
        context = ssl.create_default_context(cadata=bundle)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        self._root = f"https://localhost:{port}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(ssl=context, family=socket.AF_INET, local_addr=(address, 0))
        self._session = aiohttp.ClientSession(connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def report(self, place: Place, *samples: Body, name: str = "churn") -> Answer:
        """Report samples as they are."""
        return await self.send(path(place, name), json.dumps({"samples": samples}).encode())

    async def send(self, where: str, body: Any, **headers: str) -> Answer:
        """Send any body anywhere."""
        async with self._session.post(self._root + where, data=body, headers=self._headers | headers) as answer:
            text = await answer.text()
            parsed = json.loads(text) if answer.content_type == "application/json" else text
            return Answer(answer.status, parsed, answer.headers)


def path(place: Place, name: str = "churn") -> str:
    return f"/v1/namespaces/{place.name}/modeldeployments/{name}/metrics"


def sample(value: float = 0.9, **fields: Any) -> Body:
    return {"name": "accuracy", "value": value, "revision": "churn-1", **fields}


async def until(probe: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait, with the loop running, until the probe is true."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(probe):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(
    kubeconfig: Path,
    namespace: str,
    replica: str = "perennial-0",
    *,
    scope: str = "Cluster",
    leads: bool = True,
    **settings: Any,
) -> AsyncIterator[IngestService]:
    """The endpoint in this process."""
    about = Settings(namespace, replica, host="127.0.0.1", port=0, **settings)
    async with HttpClient(login.load(str(kubeconfig))) as client:
        reviewer: Reviewer = ClusterReviewer(client)
        if scope == "Namespaced":
            reviewer = NamespaceReviewer(client, PublishedKeys(client.read), namespace)
        async with IngestService(client, reviewer, about, leads=lambda: leads) as service:
            yield service


class Replica:
    """The endpoint as a process, killed when left."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
        command = [sys.executable, "-m", "tests.apiserver.reporting", str(kubeconfig), namespace, name]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


async def _main(kubeconfig: str, namespace: str, replica: str) -> None:
    async with serving(Path(kubeconfig), namespace, replica) as service:
        await until(lambda: service.ready() is None)
        print(service.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
