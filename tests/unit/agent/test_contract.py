"""What docs/run-contract.md shows is run as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import perennial
from perennial.agent import digest, formats, metrics
from perennial.api.task import Reason, Result, parse_result

DOCUMENT = (Path(__file__).parents[3] / "docs/run-contract.md").read_text("utf-8")


def blocks(language: str, holding: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [block for block in found if holding in block]


def end(process: subprocess.Popen[bytes]) -> None:
    output = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 0, output


# Twice in one process, since it is the imports that take long: without a champion, then with itself as champion.
TWICE = """
import os, runpy, shutil
runpy.run_path("train.py")
shutil.copytree(os.environ["PERENNIAL_OUTPUT_DIR"], "champion")
shutil.copy(os.environ["PERENNIAL_METRICS_FILE"], "first.json")
os.environ["PERENNIAL_CHAMPION_DIR"] = "champion"
runpy.run_path("train.py")
"""


def test_the_python_example(pod: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = blocks("python", "train.py")
    Path("train.py").write_text(script)
    rows = [f"{i % 7},{i % 3},{int(i % 7 > 3)}" for i in range(200)]
    (pod.layout.inputs / "dataset").write_text("\n".join(rows))
    environment = {"PERENNIAL_INPUTS_DIR": str(pod.layout.inputs), "PERENNIAL_PARAM_C": "0.5"}
    end(pod.train(sys.executable, "-c", TWICE, **environment))
    assert formats.of_folder(pod.layout.output, digest.tree(pod.layout.output)) == "sklearn"
    first, evaluation = metrics.read(Path("first.json"))
    assert first["accuracy"] > 0.9
    assert evaluation == "dataset, a random quarter"
    assert metrics.read(pod.layout.metrics)[0] == first | {"champion.accuracy": first["accuracy"]}
    assert list(first) == ["accuracy"]


def test_the_shell_example(pod: Any, tmp_path: Path) -> None:
    (script,) = blocks("sh", "#!/bin/sh")
    (tmp_path / "train").write_text(script)
    (tmp_path / "train").chmod(0o755)
    (pod.layout.inputs / "dataset").write_text("a,1\nb,3\n")
    end(pod.train(str(tmp_path / "train"), PERENNIAL_INPUTS_DIR=str(pod.layout.inputs)))
    assert json.loads((pod.layout.output / "mean.json").read_text()) == {"mean": 2}
    assert metrics.read(pod.layout.metrics) == ({"rows": 2.0}, None)


def test_the_digest_by_shell(tmp_path: Path) -> None:
    (lines,) = blocks("sh", "perennial.agent digest")
    for name in ("model/a", "model/sub/b c", "model/.perennial/result.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    lines = lines.replace("python -m", f"{sys.executable} -m")
    env = {**os.environ, "PYTHONPATH": str(Path(perennial.__file__).parents[1])}
    run = subprocess.run(["bash", "-c", lines], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [digest.of_path(tmp_path / "model")] * 2


def test_the_metrics_and_the_message_that_are_shown() -> None:
    shown = [block for block in blocks("json", "accuracy") if "uri" not in block]
    assert [metrics.parse(block)[0] for block in shown] == [{"accuracy": 0.931, "champion.accuracy": 0.918}]
    (message,) = blocks("json", "uri")
    assert isinstance(parse_result(message), Result)


def test_every_reason_and_format_is_explained() -> None:
    for reason in Reason:
        assert f"`{reason}`" in DOCUMENT
    for pattern, name in formats.BY_NAME:
        assert f"`{pattern}`" in DOCUMENT
        assert f"`{name}`" in DOCUMENT
