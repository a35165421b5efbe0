"""The chart as helm renders it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import tools

CHART = Path(__file__).parents[3] / "charts" / "perennial"
Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]


class RenderError(Exception):
    """What helm said."""


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """A function from values to the objects by kind and name; RenderError when helm refuses."""
    program = str(tools.ensure("helm")["helm"])
    rendered: dict[str, Objects] = {}

    def run(
        values: dict[str, Any] | None = None,
        release: str = "perennial",
        namespace: str = "system",
        kubernetes: str = "1.34.0",
    ) -> Objects:
        key = json.dumps([values or {}, release, namespace, kubernetes])
        if key not in rendered:
            rendered[key] = helm(values, release, namespace, kubernetes)
        return rendered[key]

    def helm(values: dict[str, Any] | None, release: str, namespace: str, kubernetes: str) -> Objects:
        file = tmp_path_factory.mktemp("values") / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        command = [
            program,
            "template",
            release,
            str(CHART),
            "-n",
            namespace,
            "-f",
            str(file),
            "--kube-version",
            kubernetes,
        ]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise RenderError(ran.stderr)
        objects = [body for body in yaml.safe_load_all(ran.stdout) if body]
        named = {(body["kind"], body["metadata"]["name"]): body for body in objects}
        assert len(named) == len(objects)
        return named

    return run
