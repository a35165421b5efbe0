"""The provider `native`: one-node Kubernetes from Go modules in network, mount and process namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.cluster import images, node, packages, servers, tools
from e2e.cluster.cache import ROOT, ClusterError, cache_dir, load_once, locked, progress, say
from e2e.cluster.network import SERVICE_CIDR, Network, allocate, indices_of
from e2e.cluster.processes import Server

# The API server reaches the kubelet (logs, exec) as a member of the group; kubeadm makes the binding in a later phase.
OBJECTS = """apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/host-path
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubeadm:cluster-admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: kubeadm:cluster-admins}]
"""


@dataclass(frozen=True, slots=True)
class Native:
    """One cluster, running or not; everything it has on disk is in `state`."""

    name: str
    state: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, usable from the host."""
        return self.state / "kubeconfig"

    @property
    def _node(self) -> Server:
        return Server(self.state, "node")

    @property
    def _network(self) -> Network | None:
        file = self.state / "network.json"
        return Network(json.loads(file.read_text())["index"]) if file.exists() else None

    def running(self) -> bool:
        """Say whether the cluster's first process lives."""
        return self._node.pid is not None

    def up(self) -> None:
        """Bring the cluster up from whatever state it is in; returns when its node is ready.

        Raises ClusterError when it does not become ready; the servers' logs are in STATE/logs.
        """
        if os.geteuid():
            raise ClusterError("a native cluster needs root (network and mount namespaces); or start docker for kind")
        if self.running() and self.kubeconfig.exists() and self._healthy():
            say(f"  cluster {self.name} is up already")
            return
        packages.ensure(packages.NODE)
        programs = tools.ensure(*tools.NATIVE_TOOLS)
        pause = images.ensure("pause")
        with progress(f"starting cluster {self.name}"):
            network = self._claim_network()
            self._certificates(network)
            servers.write(self.state, network, programs)
            self._start_node(network)
            self._wait("containerd", lambda: self._inside("test", "-S", servers.CONTAINERD_SOCKET).returncode == 0)
            self.load([pause])
            self._wait("the API server", lambda: self._kubectl("get", "--raw=/readyz").returncode == 0)
            self._wait("its API", lambda: self._kubectl("apply", "-f-", stdin=OBJECTS).returncode == 0)
            self._wait("the node", self._healthy)

    def down(self) -> None:
        """End every process of the cluster and remove everything it made; nothing happens when there is none."""
        if not self.state.exists():
            return
        with progress(f"removing cluster {self.name}"), locked(_lock()):
            # The kernel ends every process of the namespaces before their first one is gone, and its mounts with it.
            self._node.stop()
            if network := self._network:
                for group in _cgroups(network):
                    _remove_cgroup(group)
            _remove_mount_points()
            shutil.rmtree(self.state)

    def load(self, archives: Sequence[Path]) -> None:
        """Make images known to the cluster's node; nothing happens for those that it has."""
        load_once(archives, self.state, self._import)

    def exec_command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` in the cluster's network, where services and pods are reachable."""
        if not (pid := self._node.pid):
            raise ClusterError(f"cluster {self.name} is not running")
        return ["nsenter", f"--net=/proc/{pid}/ns/net", *command]

    def _claim_network(self) -> Network:
        with locked(_lock()):
            if network := self._network:
                return network
            links = [link.name for link in Path("/sys/class/net").iterdir()]
            files = self.state.parent.glob("*/network.json")
            network = allocate(indices_of(links) | {json.loads(file.read_text())["index"] for file in files})
            self.state.mkdir(parents=True, exist_ok=True)
            (self.state / "provider").write_text("native")
            (self.state / "network.json").write_text(json.dumps({"index": network.index}))
            return network

    def _certificates(self, network: Network) -> None:
        if self.kubeconfig.exists():
            return
        kubeadm, address = str(tools.path("kubeadm")), f"--apiserver-advertise-address={network.node}"
        version, pki = f"--kubernetes-version={tools.KUBERNETES}", f"{self.state}/pki"
        phases = [
            ["certs", "all", f"--apiserver-cert-extra-sans=127.0.0.1,{network.host}", f"--service-cidr={SERVICE_CIDR}"]
        ]
        for user in ("admin", "super-admin", "controller-manager", "scheduler", "kubelet"):
            node_name = [f"--node-name={servers.NODE_NAME}"] if user == "kubelet" else []
            phases.append(["kubeconfig", user, f"--kubeconfig-dir={self.state}", *node_name])
        for phase in phases:
            command = [kubeadm, "init", "phase", *phase, f"--cert-dir={pki}", address, version]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                raise ClusterError(f"{' '.join(command)} failed:\n{result.stderr}")
        config = yaml.safe_load((self.state / "super-admin.conf").read_text())
        name = config["current-context"] = f"perennial-{self.name}"
        config["clusters"][0]["name"] = config["users"][0]["name"] = config["contexts"][0]["name"] = name
        config["contexts"][0]["context"] = {"cluster": name, "user": name}
        made = self.state / ".kubeconfig"
        made.write_text(yaml.safe_dump(config))
        made.chmod(0o600)
        made.rename(self.kubeconfig)

    def _start_node(self, network: Network) -> None:
        with locked(_lock()):
            if not self.running():
                # The kernel removes an ended cluster's link by itself, a moment later.
                self._wait(f"link {network.link}", lambda: not _has_link(network), alive=False)
                for place in node.MOUNTS:
                    Path(place).mkdir(parents=True, exist_ok=True)
                for group in _cgroups(network):
                    group.mkdir(exist_ok=True)
                namespaces = ["--mount", "--net", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"]
                first = [sys.executable, "-m", "e2e.cluster.node", str(self.state)]
                self._node.start(["unshare", *namespaces, *first], {"PYTHONPATH": str(ROOT), "PATH": packages.PATH})
            pid = self._node.pid
            self._wait("network namespace", lambda: _namespace(pid) != _namespace("self"))
            if not _has_link(network):
                peer = ["type", "veth", "peer", "name", node.LINK, "netns", str(pid)]
                subprocess.run(["ip", "link", "add", network.link, *peer], check=True)
            subprocess.run(["ip", "address", "replace", f"{network.host}/30", "dev", network.link], check=True)
            subprocess.run(["ip", "link", "set", network.link, "up"], check=True)

    def _inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        here = f"/proc/{self._node.pid}/ns"
        enter = ["nsenter", f"--mount={here}/mnt", f"--net={here}/net", f"--pid={here}/pid_for_children"]
        return subprocess.run([*enter, *command], capture_output=True, text=True)

    def _import(self, archive: Path) -> None:
        result = self._inside("ctr", "--namespace=k8s.io", "images", "import", str(archive))
        if result.returncode:
            raise ClusterError(f"loading {archive} failed: {result.stderr}")

    def _kubectl(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(tools.path("kubectl")), f"--kubeconfig={self.kubeconfig}", "--request-timeout=5s", *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True)

    def _healthy(self) -> bool:
        """Say whether pods can run and find each other: API, default service account, OBJECTS, node and DNS."""
        network = self._network
        if not network or self._kubectl("get", "serviceaccount", "default").returncode:
            return False
        # An interrupted start may have left a node that is ready without them.
        if self._kubectl("get", "-f-", stdin=OBJECTS).returncode:
            return False
        checks = (f"{servers.DNS_READY_PORT}/ready", f"{servers.KUBELET_HEALTH_PORT}/healthz")
        if not all(node.answers(f"http://{network.node}:{check}") for check in checks):
            return False
        ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        return self._kubectl("get", "nodes", "-o", ready).stdout == "True"

    def _wait(self, what: str, ready: Callable[[], bool], seconds: float = 120.0, *, alive: bool = True) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if alive:
                self._node.check()
            if time.monotonic() > deadline:
                raise ClusterError(f"{what} of cluster {self.name} did not become ready, see {self.state}/logs")
            time.sleep(0.1)


def _lock() -> Path:
    return cache_dir() / "clusters" / ".lock"


def _namespace(pid: int | str | None) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def _has_link(network: Network) -> bool:
    return Path(f"/sys/class/net/{network.link}").exists()


def _cgroups(network: Network) -> list[Path]:
    """Return the cluster's folder in each hierarchy of control groups."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(fields[1]) / network.cgroup for fields in lines if fields[2] in ("cgroup", "cgroup2")]


def _remove_cgroup(group: Path) -> None:
    folders = [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
    for folder in folders:
        for _ in range(50):
            try:
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                # The kernel frees a group a moment after its last process is gone.
                time.sleep(0.05)


def _remove_mount_points() -> None:
    """Remove the places that nodes mount over, if they are empty and no other cluster uses them."""
    used = ""
    for file in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            used += file.read_text()
        except OSError:
            continue
    for place in node.MOUNT_POINTS:
        if f" {place} " not in used:
            try:
                Path(place).rmdir()
            except OSError:
                continue
