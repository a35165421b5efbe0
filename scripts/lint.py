"""All checks of `make lint`, each with one line and its time; `python -m scripts.lint NAME...` runs only those."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from e2e.cluster import tools
from perennial import config
from scripts import manifest_schemas

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "perennial"
VALUES = sorted([*(CHART / "ci").glob("*-values.yaml"), *(CHART / "presets").glob("*.yaml")])
MANIFESTS = sorted([*(ROOT / "docs" / "examples").glob("*.yaml"), *(ROOT / "e2e").glob("**/manifests/*.yaml")])
BIN = Path(sys.executable).parent


class Problem(Exception):
    """What is wrong, in words."""


def main() -> int:
    """Run the checks that are named, or all, to the end; 1 when one failed."""
    names = sys.argv[1:] or list(CHECKS)
    if unknown := set(names) - CHECKS.keys():
        print(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        return 2
    failed = [name for name in names if not _passes(name)]
    if failed:
        print(f"lint: {', '.join(failed)} failed")
    return 1 if failed else 0


def _passes(name: str) -> bool:
    started = time.monotonic()
    try:
        CHECKS[name]()
        problem = ""
    except Problem as error:
        problem = str(error).strip()
    print(f"lint {name:12} {'FAILED' if problem else 'ok':6} {time.monotonic() - started:5.1f} s", flush=True)
    if problem:
        print(problem, flush=True)
    return not problem


def _run(*command: str | Path, stdin: str | None = None) -> str:
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if ran.returncode:
        raise Problem(ran.stdout)
    return ran.stdout


def ruff() -> None:
    _run(BIN / "ruff", "check", ".")


def formatted() -> None:
    _run(BIN / "ruff", "format", "--check", ".")


def mypy() -> None:
    _run(BIN / "mypy", "-p", "perennial", "-p", "e2e", "-p", "scripts")


def imports() -> None:
    """The contracts in pyproject.toml: who may know whom."""
    _run(BIN / "lint-imports", "--no-cache")


def generated() -> None:
    _run(sys.executable, "scripts/generate.py", "--check")


def manifests() -> None:
    """Every example and every manifest that the demo and the tests apply."""
    schemas = manifest_schemas.ours()
    problems = []
    for path in MANIFESTS:
        for body in yaml.safe_load_all(path.read_text()):
            if body and body.get("kind") in schemas:
                problems += [f"{path.relative_to(ROOT)}: {words}" for words in _mistakes(body, schemas[body["kind"]])]
    if problems:
        raise Problem("\n".join(problems))


def values() -> None:
    """The chart's own values, and that what is rendered of each set of values is a configuration of the operator."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    if mistakes := list(_mistakes(yaml.safe_load((CHART / "values.yaml").read_text()), schema)):
        raise Problem("\n".join(mistakes))
    for path in VALUES:
        for body in yaml.safe_load_all(_rendered(path)):
            if body and body["kind"] == "ConfigMap":
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    file.write(body["data"]["config.yaml"])
                    file.flush()
                    try:
                        config.load(Path(file.name))
                    except ValueError as error:
                        raise Problem(f"{path.name}: {error}") from None


def _mistakes(body: Any, schema: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft7Validator(schema).iter_errors(body):
        yield f"{error.json_path}: {error.message}"


def helm() -> None:
    for path in VALUES:
        _run(_tool("helm"), "lint", "--strict", CHART, "-f", path, "--kube-version", tools.KUBERNETES)


def kubeconform() -> None:
    """Everything that the chart renders, with schemas of the Kubernetes that the tests run on."""
    with tempfile.TemporaryDirectory() as folder:
        manifest_schemas.write(Path(folder))
        location = f"{folder}/{manifest_schemas.LOCATION}"
        flags = ["-strict", "-schema-location", location, "-skip", "ServiceMonitor"]
        for path in VALUES:
            _run(_tool("kubeconform"), *flags, "-", stdin=_rendered(path))
        _run(_tool("kubeconform"), *flags, *MANIFESTS, ROOT / "crds")


@cache
def _rendered(values: Path) -> str:
    words = ["template", "perennial", str(CHART), "-n", "perennial-system", "-f", str(values)]
    return _run(_tool("helm"), *words, "--kube-version", tools.KUBERNETES)


def _tool(name: str) -> Path:
    return tools.ensure(name)[name]


CHECKS: dict[str, Callable[[], None]] = {
    "ruff": ruff,
    "format": formatted,
    "mypy": mypy,
    "imports": imports,
    "generated": generated,
    "manifests": manifests,
    "values": values,
    "helm": helm,
    "kubeconform": kubeconform,
}

if __name__ == "__main__":
    sys.exit(main())
