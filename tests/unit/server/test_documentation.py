"""Every curl example in the documentation answers what stands below it."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
EXAMPLES = re.findall(r"```sh\n(.*?)```\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL)


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 2) if isinstance(value, float) else value


def test_every_shell_example_has_its_answer() -> None:
    assert len(EXAMPLES) == PAGE.read_text().count("```sh") > 5


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_an_example_answers_as_it_says(iris_server: Any, weighing_server: Any, command: str, answer: str) -> None:
    server = weighing_server if "weigh" in command else iris_server
    env = {**os.environ, "SERVER": f"http://127.0.0.1:{server.port}"}
    done = subprocess.run(["bash", "-euc", command], env=env, capture_output=True, text=True, timeout=20, check=True)
    assert rounded(json.loads(done.stdout)) == json.loads(answer)
