"""A real MLflow tracking server, in an environment of its own, and what evaluations log to it."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.cluster.apiserver import free_ports
from e2e.cluster.cache import cache_dir, digest, locked, progress

LOCK = Path(__file__).parents[1] / "requirements" / "mlflow.txt"
_START, _TRIES = 120.0, 3


class Tracking:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def experiment(self, name: str) -> str:
        """Make an experiment. Its id."""
        return str(self._post("experiments/create", name=name)["experiment_id"])

    def evaluated(self, experiment: str, when: datetime, tags: dict[str, str], **metrics: float) -> None:
        """What an evaluation logs that was started then."""
        run = self._post(
            "runs/create",
            experiment_id=experiment,
            start_time=int(when.timestamp() * 1000),
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )["run"]["info"]["run_id"]
        for key, value in metrics.items():
            self._post("runs/log-metric", run_id=run, key=key, value=value, timestamp=int(when.timestamp() * 1000))

    def _post(self, what: str, **body: Any) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/2.0/mlflow/{what}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def tracking(
    folder: Path, host: str = "127.0.0.1", there: Callable[[Sequence[str]], list[str]] = list
) -> Iterator[Tracking]:
    """A server whose records are in a folder. `there`: the command that runs a command where `host` is."""
    process, url = _started(folder, host, there)
    try:
        yield Tracking(url)
    finally:
        process.terminate()
        process.wait(30)


def _started(
    folder: Path, host: str, there: Callable[[Sequence[str]], list[str]]
) -> tuple[subprocess.Popen[bytes], str]:
    """A server that answers. It takes seconds to listen, and meanwhile somebody else may have taken its port."""
    log, deadline = folder / "mlflow.log", time.monotonic() + _START
    store = (
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    )
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("PYTHONPATH", None)
    for _ in range(_TRIES):
        (port,) = free_ports(1)
        where = ("--host", host, "--port", str(port), "--allowed-hosts", f"{host}:{port}", "--workers", "1")
        command = [str(_python()), "-m", "mlflow", "server", *where, *store]
        with log.open("ab") as output:
            process = subprocess.Popen(there(command), env=environment, cwd=folder, stdout=output, stderr=output)
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(f"http://{host}:{port}"):
                return process, f"http://{host}:{port}"
            time.sleep(0.2)
        process.kill()
        process.wait()
    raise AssertionError(log.read_text()[-2000:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _python() -> Path:
    """The interpreter that has MLflow; its environment is made when it is missing."""
    target = cache_dir() / f"mlflow-{digest([LOCK, sys.version])}"
    ready = target / ".ready"
    with locked(target.with_name(f".{target.name}.lock")):
        if not ready.exists():
            uv = Path(sys.executable).with_name("uv")
            python = target / "bin" / "python"
            with progress("installing MLflow"):
                subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, target], check=True)
                lock = ["--require-hashes", str(LOCK)]
                subprocess.run([uv, "pip", "sync", "-q", "--python", python, *lock], check=True)
            ready.touch()
    return target / "bin" / "python"
