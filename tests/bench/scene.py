"""One API server with the operator beside it, and the ways to look at both."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, Resource
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.plan import Body
from tests.apiserver.operators import USER, Perennial, apply_kinds, eventually

# The controllers are there to be kept busy, not to be waited for.
FAST = ("--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-job-syncs=16", "--concurrent-deployment-syncs=16")
APART = ("events", "leases")
# Where this names cores, what is measured has those. Who plays the kubelet and makes the load has the others.
CORES = "PERENNIAL_BENCH_CORES"
WRITES = ("create", "update", "patch", "delete")


class InPod(Perennial):
    """The operator as its image runs it."""

    def __init__(self, server: ApiServer, config: Path) -> None:
        super().__init__(server, "bench", config)
        account = server.folder / "serviceaccount"
        account.mkdir()
        (account / "ca.crt").write_bytes(server.ca.read_bytes())
        (account / "token").write_text(server.token(USER))
        kubeconfig = self._command.index("--kubeconfig")
        arguments = [*self._command[3:kubeconfig], *self._command[kubeconfig + 2 :]]
        pinned = ["taskset", "-c", cores] if (cores := os.environ.get(CORES)) else []
        self._command = [*pinned, sys.executable, "-m", "tests.bench.pod", str(account), *arguments]
        url = urlsplit(server.url)
        self.environment = {"KUBERNETES_SERVICE_HOST": str(url.hostname), "KUBERNETES_SERVICE_PORT": str(url.port)}


@dataclass
class Scene:
    """A server, the administrator's client, the operator, and the most memory that the operator was seen with."""

    server: ApiServer
    client: HttpClient
    credentials: login.Credentials
    operator: Perennial
    peak: float = 0.0
    _read: int = field(default=0)

    @property
    def rss(self) -> float:
        """The operator's resident memory now, MiB."""
        assert self.operator.process
        status = Path(f"/proc/{self.operator.process.pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kib) / 1024

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the operator has used."""
        assert self.operator.process
        fields = Path(f"/proc/{self.operator.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async def watch_memory(self) -> None:
        """Keep `peak`, until cancelled."""
        while True:
            self.peak = max(self.peak, self.rss)
            await asyncio.sleep(0.1)

    async def namespace(self, name: str) -> None:
        """Make a namespace, and wait for the account of its pods."""
        self.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        if self.server.controller_manager.pid:
            accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
            await asyncio.to_thread(eventually, lambda: self.server.request("GET", accounts)["items"])

    async def count(self, resource: Resource, namespace: str) -> int:
        """How many objects of a namespace there are, without reading them."""
        found = await asyncio.to_thread(self.server.request, "GET", resource.path(namespace) + "?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    async def complete(self, namespace: str) -> int:
        """How many Jobs of a namespace have succeeded."""
        return len(
            (await self.client.list(JOBS, namespace, fields="status.successful=1", limit=0, metadata_only=True)).items
        )

    async def until(self, count: Callable[[], Awaitable[int]], wanted: int, every: float = 0.2) -> float:
        """Wait for so many, and return when that was seen (monotonic seconds)."""
        deadline = time.monotonic() + 600
        while (found := await count()) < wanted:
            assert time.monotonic() < deadline, f"{found} of {wanted} after 10 minutes"
            await asyncio.sleep(every)
        return time.monotonic()

    def requests(self) -> Counter[str]:
        """What the operator asked for since the last call, as `verb resource/subresource`, Events and Leases apart."""
        counted: Counter[str] = Counter()
        with self.server.audit_log.open() as log:
            log.seek(self._read)
            for line in log:
                if f'"username":"{USER}"' not in line:
                    continue
                entry = json.loads(line)
                # Discovery is about no object.
                about = entry.get("objectRef")
                if not about or about["resource"] in APART:
                    continue
                part = f"/{about['subresource']}" if "subresource" in about else ""
                failed = "" if entry["responseStatus"]["code"] < 400 else f" ({entry['responseStatus']['code']})"
                counted[f"{entry['verb']} {about['resource']}{part}{failed}"] += 1
            self._read = log.tell()
        return counted

    def start(self) -> float:
        """Start the operator anew; seconds until it has everything in its cache."""
        began = time.monotonic()
        before = self.operator.log.stat().st_size if self.operator.log.exists() else 0
        self.operator.__enter__()
        deadline = began + 120
        while b"cache filled" not in self.operator.log.read_bytes()[before:]:
            assert time.monotonic() < deadline, "the operator does not start"
            time.sleep(0.02)
        took = time.monotonic() - began
        self.operator.started()
        return took


def _share_the_cores(server: ApiServer) -> None:
    if names := os.environ.get(CORES):
        cores = {int(name) for name in names.split(",")}
        servers = [one.pid for one in (server.etcd, server.apiserver, server.controller_manager) if one.pid]
        for pid, share in [*((one, cores) for one in servers), (os.getpid(), set(range(os.cpu_count() or 1)) - cores)]:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), share)


@asynccontextmanager
async def scene(folder: Path, *, controllers: bool = True, config: Body | None = None) -> AsyncIterator[Scene]:
    """A new server with the CustomResourceDefinitions, and the operator not yet started. config: of the operator,
    beside a serving runtime."""
    users = {USER: ["system:masters"]}
    with ApiServer(folder, users=users, audit=True, controller_manager=controllers, controller_args=FAST) as server:
        _share_the_cores(server)
        apply_kinds(server)
        file = folder / "config.yaml"
        template = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
        runtimes = {"servingRuntimes": {"sklearn": {"formats": ["sklearn"], "template": template}}}
        file.write_text(json.dumps(runtimes | (config or {})))
        credentials = login.load(str(server.kubeconfig))
        async with HttpClient(credentials) as client:
            operator = InPod(server, file)
            try:
                yield Scene(server, client, credentials, operator)
            finally:
                if operator.process:
                    operator.kill()
