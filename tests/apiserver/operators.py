"""Operators as processes of their own, to be killed and frozen, and what can be seen of them from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from e2e.cluster import tools
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.ports import free_ports

ROOT = Path(__file__).parents[2]
USER = "operator"
T = TypeVar("T")
_TRAIN = {"name": "train", "image": "preset:1", "command": ["python", "preset.py"]}
# The operator's configuration: a preset for training and one for serving.
PRESETS = {
    "trainingRuntimes": {"sklearn": {"template": {"spec": {"containers": [_TRAIN]}}}},
    "servingRuntimes": {
        "sklearn": {
            "formats": ["sklearn"],
            "template": {"spec": {"containers": [{"name": "server", "image": "preset:1"}]}},
        }
    },
}


def eventually(probe: Callable[[], T], seconds: float = 15.0) -> T:
    """The first truthy value of the probe; its last one fails the test. Broken connections count as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = probe()
        except OSError:
            value = None  # type: ignore[assignment]
        if value or time.monotonic() > deadline:
            assert value, f"still {value!r} after {seconds:g} s"
            return value
        time.sleep(0.1)


def apply_kinds(server: ApiServer, tree: Path = ROOT) -> None:
    """`define` ours, as a tree has them."""
    define(server, tree / "crds", "perennial.dev")


def apply_gateway_kinds(server: ApiServer) -> None:
    """The same with the Gateway API's HTTPRoute."""
    definitions = tools.source("traefik", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    define(server, definitions / "gateway.networking.k8s.io_httproutes.yaml", "gateway.networking.k8s.io")


def define(server: ApiServer, files: Path, group: str) -> None:
    """Apply the CustomResourceDefinitions of a group; return when clients can discover them."""
    server.kubectl("apply", "--server-side", "-f", str(files))
    names = set(server.kubectl("get", "-f", str(files), "-o", "jsonpath={..metadata.name}").split())

    def discovered() -> bool:
        try:
            return names <= set(server.kubectl("api-resources", f"--api-group={group}", "-o", "name").split())
        except subprocess.CalledProcessError:
            # Another group is just being made known.
            return False

    eventually(discovered)


class Operator:
    """The toy operator, started when entered and killed when left."""

    def __init__(self, server: ApiServer, identity: str, *, lease_seconds: float = 5.0) -> None:
        self.identity = identity
        self.port = free_ports(1)[0]
        self.log = server.folder / "logs" / f"{identity}.log"
        arguments = [str(server.kubeconfig_of(USER)), identity, str(self.port), str(lease_seconds)]
        self._command = [sys.executable, "-m", "tests.apiserver.toy", *arguments]
        # Beside ours.
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, env=environment, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def ended(self) -> bool:
        """Whether it exited or was killed, so that a kubelet would start it again."""
        return self.process is not None and self.process.poll() is not None

    def exit_code(self, seconds: float = 20.0) -> int:
        assert self.process
        return self.process.wait(seconds)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name with these labels."""
        families = text_string_to_metric_families(self.get("/metrics"))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def leads(self) -> bool:
        return self.metric("leader_election_master_status") == 1

    def started(self, seconds: float = 90.0) -> None:
        """Wait until it watches; its last words tell why it does not."""
        try:
            eventually(self.watches, seconds)
        except AssertionError:
            code = self.process.poll() if self.process else None
            tail = self.log.read_text().splitlines()[-20:]
            raise AssertionError("\n".join([f"no start within {seconds:g} s, exit code {code}:", *tail])) from None

    def watches(self) -> bool:
        """Whether the start is over: it leads, and kopf has logged in."""
        return self.leads() and "authentication has finished" in self.log.read_text()


class Perennial(Operator):
    """The operator itself, started as in production; the same identity after a restart, as a container has."""

    def __init__(
        self,
        server: ApiServer,
        identity: str,
        config: Path,
        *,
        kubeconfig: Path | None = None,
        namespace: str = "default",
    ) -> None:
        super().__init__(server, identity)
        self._command = [
            *(sys.executable, "-m", "perennial", "--namespace", namespace, "--identity", identity),
            *("--kubeconfig", str(kubeconfig or server.kubeconfig_of(USER)), "--config", str(config)),
            *("--health-host", "127.0.0.1", "--health-port", str(self.port)),
        ]

    def kill(self) -> None:
        """End it between two instructions."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again after it ended; return when it watches."""
        self.__enter__()
        self.started()


def writes(server: ApiServer) -> list[tuple[str, str]]:
    """What the operators wrote so far, as verb and resource, without their Leases."""
    lines = (json.loads(line) for line in server.audit_log.read_text().splitlines())
    return [
        (line["verb"], line["objectRef"]["resource"] + "/" + line["objectRef"].get("subresource", ""))
        for line in lines
        if line["user"]["username"] == USER
        and line["verb"] in ("create", "update", "patch", "delete")
        and line["objectRef"]["resource"] != "leases"
    ]
