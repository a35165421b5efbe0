"""What docs/metrics.md says is done as it stands there: only addresses and paths are those of the test."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.cluster.apiserver import ApiServer
from perennial.ingest.payload import parse
from perennial.metricseries.bucket import read
from tests.apiserver.reporting import Place, serving, until

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def block(language: str, having: str) -> str:
    """The only code block of that language with these words in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if having in text]
    return str(found)


@pytest_asyncio.fixture
async def monitor(kinds: ApiServer, tmp_path: Path) -> AsyncIterator[tuple[Place, int, Path]]:
    """A namespace as documented, the endpoint's port, and the folder that the documented volume would be."""
    place = Place(kinds)
    place.deploy()
    for having in ("kind: Role\n", "kind: CronJob"):
        kinds.kubectl("apply", "-n", place.name, "-f", "-", stdin=block("yaml", having))
    (tmp_path / "token").write_text(place.token("churn-monitor"))
    async with serving(kinds.kubeconfig, place.name) as service:
        await until(lambda: service.ready() is None)
        (tmp_path / "ca.crt").write_text(place.bundle())
        yield place, service.port, tmp_path


@pytest.mark.parametrize(
    ("program", "language"), [([sys.executable, "-c"], "python"), (["sh", "-c"], "sh")], ids=["python", "curl"]
)
async def test_the_example_reports(monitor: tuple[Place, int, Path], program: list[str], language: str) -> None:
    place, port, folder = monitor
    script = block(language, "/metrics")
    for documented, here in {
        "perennial.perennial-system.svc": f"localhost:{port}",
        "/namespaces/team/": f"/namespaces/{place.name}/",
        "/var/run/perennial": str(folder),
    }.items():
        assert documented in script
        script = script.replace(documented, here)
    process = await asyncio.create_subprocess_exec(
        *program, script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    assert json.loads(output.decode().replace("'", '"')) == {"accepted": 1}
    assert place.counted() in (1, 200)


def test_the_documented_report_is_one() -> None:
    (sample,) = parse(block("json", "samples").encode(), 0.0)
    assert sample.count == 200


def test_the_documented_line_of_a_record_is_one() -> None:
    (line,) = re.findall(r"- (2026-11-21T10:05Z .*)\n", block("yaml", "minutes:"))
    bucket = read(line)
    assert bucket
    assert bucket.write(60) == line
