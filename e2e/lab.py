"""A cluster with Perennial in it, for the demo and the end-to-end tests: kubectl, helm, and waiting with words."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from e2e.cluster import clusters, images, tools

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "perennial"
SYSTEM = "perennial-system"
Body = dict[str, Any]


class Failed(Exception):
    """A command failed, or something did not come in time; the message tells what was seen last."""


class Lab:
    """One named cluster. Nothing outside of it is touched: its kubeconfig is its own."""

    def __init__(self, name: str) -> None:
        self.cluster = clusters.find(name)
        self._programs = tools.ensure("kubectl", "helm")

    def up(self) -> None:
        """Bring the cluster up and make the images known to it."""
        self.cluster.up()
        self.cluster.load([images.ensure(target) for target in images.TARGETS])

    @property
    def env(self) -> dict[str, str]:
        """The environment in which kubectl and helm mean this cluster."""
        bins = {str(program.parent) for program in self._programs.values()}
        path = os.pathsep.join([*sorted(bins), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path}

    @cached_property
    def host(self) -> str:
        """The address by which pods reach what runs beside them in the cluster's network."""
        addresses = [one for node in self.every("nodes", "default") for one in node["status"].get("addresses", ())]
        return str(next(one["address"] for one in addresses if one["type"] == "InternalIP"))

    def run(self, *command: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl, helm or anything else against this cluster."""
        done = subprocess.run(command, input=stdin, env=self.env, capture_output=True, text=True)
        if check and done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Failed with its own words when it fails."""
        return self.run("kubectl", *arguments, stdin=stdin).stdout

    def apply(self, manifest: Path | str | Body | Sequence[Body]) -> None:
        """Apply a file, or objects."""
        if isinstance(manifest, Path):
            self.kubectl("apply", "-f", str(manifest))
        else:
            text = manifest if isinstance(manifest, str) else json.dumps(_listed(manifest))
            self.kubectl("apply", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str) -> Body | None:
        """An object, or None when it is not there."""
        done = self.run("kubectl", "get", kind, name, "-n", namespace, "-o", "json", check=False)
        if done.returncode:
            if "NotFound" in done.stderr or "not found" in done.stderr:
                return None
            raise Failed(done.stderr.strip())
        body: Body = json.loads(done.stdout)
        return body

    def every(self, kind: str, namespace: str, selector: str = "") -> list[Body]:
        """The objects of a kind in a namespace."""
        text = self.kubectl("get", kind, "-n", namespace, "-o", "json", *(["-l", selector] if selector else []))
        items: list[Body] = json.loads(text)["items"]
        return items

    def install(self, *values: str, release: str = "perennial", namespace: str = SYSTEM, timeout: str = "180s") -> str:
        """Install or upgrade the chart with the images of this tree."""
        return self.run(
            "helm", "upgrade", "--install", release, str(CHART), "--namespace", namespace, "--create-namespace",
            "--wait", "--timeout", timeout, "--take-ownership",
            *(word for value in (*self.image_values(), *values) for word in ("--set", value)),
        ).stdout  # fmt: skip

    def image_values(self) -> list[str]:
        """Chart values that name the images of this tree; a change of their content rolls the operator."""
        registry, repository = images.name("operator").rsplit(":", 1)[0].split("/", 1)
        return [
            f"image.registry={registry}",
            f"image.repository={repository.rsplit('/', 1)[0]}",
            f"image.tag={images.TAG}",
            # With its word before it: of digits alone it would be read as a number.
            f"podAnnotations.build={images.ensure('operator').stem}",
        ]

    def until(
        self,
        what: str,
        check: Callable[[], Any],
        seconds: float = 120,
        every: float = 0.5,
        seen: Callable[[], str] = lambda: "",
    ) -> Any:
        """Wait until `check` gives something true, and return that. Failed with what was `seen` last."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = check()
            if found:
                return found
            time.sleep(every)
        raise Failed(f"after {seconds:.0f} s still not: {what}. {seen()}")


def condition(body: Body | None, type_: str) -> Body:
    """A condition of an object; one with status Missing when it is not there."""
    for one in ((body or {}).get("status") or {}).get("conditions") or ():
        if one["type"] == type_:
            return dict(one)
    return {"type": type_, "status": "Missing", "reason": "", "message": ""}


def is_true(body: Body | None, type_: str) -> bool:
    """Whether an object's condition is True for its present generation."""
    found = condition(body, type_)
    generation = (body or {}).get("metadata", {}).get("generation")
    return found["status"] == "True" and found.get("observedGeneration") in (None, generation)


def _listed(manifest: Body | Sequence[Body]) -> Body:
    if isinstance(manifest, dict):
        return manifest
    return {"apiVersion": "v1", "kind": "List", "items": list(manifest)}
