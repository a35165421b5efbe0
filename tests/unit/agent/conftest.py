"""A real launcher, a real S3 over HTTP, a real web server, and pods made of folders and processes."""

import contextlib
import functools
import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from perennial.agent import layout as layout_module
from perennial.agent import prepare, storage, transfer
from perennial.agent.layout import Layout
from perennial.api.task import PrepareTask
from tests.unit.agent.asked import Server, serving

LAUNCHER_SOURCE = Path(layout_module.__file__).with_name("launcher.c")


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("launcher") / "launch"
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-static", "-o", str(binary), str(LAUNCHER_SOURCE)], check=True
    )
    return binary


@pytest.fixture
def layout(tmp_path: Path, launcher: Path) -> Layout:
    for folder in ("perennial", "volumes/claim"):
        (tmp_path / folder).mkdir(parents=True)
    return Layout(tmp_path / "perennial", tmp_path / "volumes", launcher, tmp_path / "termination-log")


@pytest.fixture
def prepared(layout: Layout) -> Layout:
    """A pod after its init container."""
    prepare.lay_out(PrepareTask(), layout)
    return layout


@pytest.fixture
def claim(layout: Layout) -> Path:
    """The files of the claim `claim`."""
    return layout.volumes / "claim"


@dataclass
class Pod:
    """Starts containers as processes that share the folders of a layout."""

    layout: Layout
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, umask: int = -1, **env: str) -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            "PERENNIAL_ROOT": str(self.layout.root),
            "PERENNIAL_VOLUMES": str(self.layout.volumes),
            "PERENNIAL_LAUNCHER": str(self.layout.launcher),
            "PERENNIAL_TERMINATION_LOG": str(self.layout.termination_log),
            "PERENNIAL_OUTPUT_DIR": str(self.layout.output),
            "PERENNIAL_METRICS_FILE": str(self.layout.metrics),
            **env,
        }
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, umask=umask
        )
        self.processes.append(process)
        return process

    def train(self, *command: str, umask: int = -1, **env: str) -> subprocess.Popen[bytes]:
        """The training container. Its termination message lies apart from the agent's."""
        env.setdefault("PERENNIAL_TERMINATION_LOG", str(self.layout.root / "train-log"))
        return self.start(str(self.layout.launch), "--", *command, umask=umask, **env)

    def agent(self, step: str, task: Any, umask: int = -1, **env: str) -> subprocess.Popen[bytes]:
        env = {"PERENNIAL_TASK": task.to_json(), "PERENNIAL_ATTEMPT": "attempt-1", **env}
        return self.start(sys.executable, "-m", "perennial.agent", step, umask=umask, **env)

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.layout.termination_log.read_text())  # type: ignore[no-any-return]

    def kept(self, name: str) -> str:
        return (self.layout.run / name).read_text()


@pytest.fixture
def pod(prepared: Layout) -> Iterator[Pod]:
    pod = Pod(prepared)
    yield pod
    sessions = {process.pid for process in pod.processes}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError):
            if os.getsid(int(entry.name)) in sessions:
                os.kill(int(entry.name), signal.SIGKILL)
    for process in pod.processes:
        process.wait(5)
        process.stdout.close()  # type: ignore[union-attr]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    return until


class S3:
    """A server that speaks S3 over HTTP, with the bucket `acme`, which can go away and come back."""

    def __init__(self) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.up = True

    def stop(self) -> None:
        if self.up:
            self.server.stop()
            self.up = False

    def start(self) -> None:
        if not self.up:
            self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
            self.server.start()
            self.up = True

    @functools.cached_property
    def fs(self) -> Any:
        return storage.locate("s3://acme", Path("/")).fs


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3_server.start()
    if s3_server.fs.exists("acme"):
        s3_server.fs.rm("acme", recursive=True)
    s3_server.fs.mkdir("acme")
    return s3_server


@dataclass
class Web:
    folder: Path
    url: str
    answers: list[int] = field(default_factory=list)  # status codes to give first, one per request


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    web = Web(folder, "")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if web.answers:
                self.send_error(web.answers.pop(0))
            else:
                super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    yield web
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once and end soon."""
    monkeypatch.setattr(transfer, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(transfer, "LONGEST_DELAY", 0.05)
    monkeypatch.setattr(transfer, "PATIENCE", 0.3)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with serving() as start:
        yield start
