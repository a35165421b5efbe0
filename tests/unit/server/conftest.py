"""Real models trained once, and real server processes on loopback."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.unit.server.graphs import weighing

# Tests write models by these libraries; from here, too, they report to nobody.
os.environ.update(ORT_DISABLE_TELEMETRY="1", MLFLOW_DISABLE_TELEMETRY="true")

IRIS_COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")


def train_iris() -> Any:
    """A classifier with string labels that knows its columns by name, as one trained on a data frame does."""
    rows, labels = load_iris(return_X_y=True)
    names = load_iris().target_names
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(rows, names[labels])
    model[0].feature_names_in_ = np.array(IRIS_COLUMNS, dtype=object)
    return model


def train_digits() -> Any:
    rows, labels = load_digits(return_X_y=True)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(rows, labels)


@pytest.fixture(scope="session")
def iris() -> Any:
    return train_iris()


@pytest.fixture(scope="session")
def digits() -> Any:
    return train_digits()


@pytest.fixture(scope="session")
def iris_dir(iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iris")
    skops.io.dump(iris, folder / "model.skops")
    return folder


@pytest.fixture(scope="session")
def digits_dir(digits: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    skops.io.dump(digits, folder / "model.skops")
    return folder


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ServerProcess:
    """`python -m perennial.server` as a pod runs it, on a port of its own choice."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perennial.server"],
            env={**os.environ, "PERENNIAL_HOST": "127.0.0.1", "PERENNIAL_PORT": "0", **env},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.logs: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read_logs, daemon=True)
        self._reader.start()
        self.port = self.logged("listening")["port"]

    def _read_logs(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.logs.append(json.loads(line))

    def logged(self, message: str, timeout: float = 60) -> dict[str, Any]:
        """The first log entry that says `message`, waited for."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = [entry for entry in list(self.logs) if entry["message"] == message]
            if found:
                return found[0]
            assert self._reader.is_alive(), f"the server ended: {self.logs}"
            time.sleep(0.02)
        raise AssertionError(f"no {message!r} in {self.logs}")

    def wait_ready(self) -> "ServerProcess":
        self.logged("model loaded")
        while self.request("GET", "/v2/health/ready").status != 200:
            time.sleep(0.02)
        return self

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a fresh connection; a body that is no text is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
            connection.request(method, path, data, dict(headers or {}))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def end(self, timeout: float = 20) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()


Starter = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def iris_server(iris_dir: Path) -> Iterator[ServerProcess]:
    """One server of the iris model for every test that does not stop it."""
    server = ServerProcess(
        {
            "PERENNIAL_MODEL_DIR": str(iris_dir),
            "PERENNIAL_MODEL_NAME": "iris",
            "PERENNIAL_MODEL_VERSION": "3",
            "PERENNIAL_REVISION": "r-1",
            "PERENNIAL_DEPLOYMENT": "garden",
            "PERENNIAL_MAX_BODY_BYTES": "20000",
            "PERENNIAL_ACCESS_LOG": "1",
        }
    ).wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def weighing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a graph with two inputs and two outputs."""
    folder = weighing(tmp_path_factory.mktemp("weighing"))
    names = {"PERENNIAL_MODEL_NAME": "weighing", "PERENNIAL_MODEL_VERSION": "1", "PERENNIAL_MODEL_FORMAT": "onnx"}
    server = ServerProcess({**names, "PERENNIAL_MODEL_DIR": str(folder)}).wait_ready()
    yield server
    server.stop()


@pytest.fixture
def start(digits_dir: Path) -> Iterator[Starter]:
    """Start servers of the digits model, or with other settings; they end with the test."""
    started: list[ServerProcess] = []

    def starter(**env: str) -> ServerProcess:
        base = {
            "PERENNIAL_MODEL_DIR": str(digits_dir),
            "PERENNIAL_MODEL_NAME": "digits",
            "PERENNIAL_DRAIN_SECONDS": "0",
        }
        started.append(ServerProcess({**base, **env}))
        return started[-1]

    yield starter
    for server in started:
        server.stop()
