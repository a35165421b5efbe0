"""The provider `kind`: Kubernetes in a container, where a container engine runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import images, tools
from e2e.cluster.apiserver import AUDIT_POLICY
from e2e.cluster.cache import ClusterError, load_once, progress, say


@dataclass(frozen=True, slots=True)
class Kind:
    """One cluster; the members are those of native.Native."""

    name: str
    state: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; kind never sees the user's own."""
        return self.state / "kubeconfig"

    @property
    def _container(self) -> str:
        return f"perennial-{self.name}-control-plane"

    def running(self) -> bool:
        """Say whether the cluster's container runs."""
        return self._inspect("{{.State.Running}}") == "true"

    def up(self) -> None:
        """Create the cluster, or start its container again; raises ClusterError with kind's words when that fails."""
        if self.kubeconfig.exists() and self._inspect("{{.State.Running}}"):
            self._run([images.engine(), "start", self._container])
            self._run(
                [
                    str(tools.path("kubectl")),
                    f"--kubeconfig={self.kubeconfig}",
                    "wait",
                    "node",
                    "--all",
                    "--for=condition=Ready",
                    "--timeout=120s",
                ]
            )
            say(f"  cluster {self.name} is up already")
            return
        tools.ensure("kind", "kubectl")
        (self.state / "logs").mkdir(parents=True, exist_ok=True)
        (self.state / "provider").write_text("kind")
        (self.state / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        config = (Path(__file__).parent / "kind.yaml").read_text().replace("STATE", str(self.state))
        (self.state / "kind.yaml").write_text(config)
        with progress(f"starting cluster {self.name} with kind"):
            # What an interrupted start left is not worth going on from.
            self._kind("delete", "cluster")
            self._kind("create", "cluster", f"--config={self.state / 'kind.yaml'}", "--wait=180s")

    def down(self) -> None:
        """Delete the cluster and its state."""
        if self.state.exists():
            tools.ensure("kind")
            self._kind("delete", "cluster")
            shutil.rmtree(self.state)

    def load(self, archives: Sequence[Path]) -> None:
        """Make images known to the cluster's node; nothing happens for those that it has."""
        load_once(archives, self.state, lambda file: self._kind("load", "image-archive", str(file), kubeconfig=False))

    def exec_command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` in the cluster's network, where services and pods are reachable."""
        if os.geteuid():
            raise ClusterError("entering the cluster's network needs root; kubectl port-forward does not")
        if (pid := self._inspect("{{.State.Pid}}")) in ("", "0"):
            raise ClusterError(f"cluster {self.name} is not running")
        return ["nsenter", f"--net=/proc/{pid}/ns/net", *command]

    def _inspect(self, template: str) -> str:
        """Return one field of the cluster's container, or an empty string when there is none."""
        command = [images.engine() or "docker", "inspect", f"--format={template}", self._container]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def _kind(self, *args: str, kubeconfig: bool = True) -> None:
        more = [f"--kubeconfig={self.kubeconfig}"] if kubeconfig else []
        self._run([str(tools.path("kind")), *args, f"--name=perennial-{self.name}", *more])

    def _run(self, command: Sequence[str]) -> None:
        env = os.environ | ({"KIND_EXPERIMENTAL_PROVIDER": "podman"} if images.engine() == "podman" else {})
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        if result.returncode:
            raise ClusterError(f"{' '.join(command)} failed:\n{(result.stdout + result.stderr)[-2000:]}")
