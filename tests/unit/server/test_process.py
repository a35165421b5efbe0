"""The life of real server processes: loading, failing to load, staying alive under load, and the drain on SIGTERM."""

import http.client
import importlib
import json
import os
import pickle
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

IMAGE, DIGIT = load_digits().data[7], int(load_digits().target[7])
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP64", "data": IMAGE.tolist()}]})
INFER = "/v2/models/digits/infer"
HEAD = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
DRAIN = 2.0


class Client:
    """Sends predictions until told to stop, on one kept connection or on a fresh one each; counts how they end."""

    def __init__(self, port: int, stop: threading.Event, terminated: Callable[[], bool], *, keep: bool) -> None:
        self.outcomes: Counter[str] = Counter()
        self.told_to_close = 0
        self.kept_silent = 0
        self._port, self._stop, self._terminated, self._keep = port, stop, terminated, keep
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            late = self._terminated()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
                connection.request("POST", INFER, BODY)
                response = connection.getresponse()
                right = response.status == 200 and json.loads(response.read())["outputs"][0]["data"] == [DIGIT]
                self.outcomes["right" if right else f"status {response.status}"] += 1
                closing = response.getheader("Connection") == "close"
                self.told_to_close += closing
                self.kept_silent += late and not closing
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[repr(error)] += 1
                closing = True
            if closing or not self._keep:
                if connection:
                    connection.close()
                connection = None
            time.sleep(0.005)


def an_idle_connection(port: int) -> socket.socket:
    """A connection that has had an answer and waits, as a client's pool keeps it."""
    idle = socket.create_connection(("127.0.0.1", port), timeout=10)
    idle.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while b'{"ready":true}' not in received:
        received += idle.recv(65536)
    return idle


def test_a_drain_fails_no_request_and_closes_what_is_idle(start: Any) -> None:
    server = start(PERENNIAL_DRAIN_SECONDS=str(DRAIN)).wait_ready()
    idle = an_idle_connection(server.port)
    stop, terminated = threading.Event(), threading.Event()
    clients = [Client(server.port, stop, terminated.is_set, keep=i % 2 == 0) for i in range(6)]
    time.sleep(0.5)

    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    server.logged("draining")
    terminated.set()
    ready = server.request("GET", "/v2/health/ready")
    assert (ready.status, ready.json, ready.headers["Connection"]) == (503, {"ready": False}, "close")
    assert server.request("GET", "/v2/health/live").status == 200

    time.sleep(DRAIN - 0.02 - (time.monotonic() - began))
    half = len(BODY) // 2
    late, slow = (socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(2))
    slow.sendall(f"{HEAD}{BODY[:half]}".encode())
    stop.set()
    for client in clients:
        client.thread.join()
    time.sleep(0.5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)
    late.sendall(f"{HEAD}{BODY}".encode())
    slow.sendall(BODY[half:].encode())
    for accepted_in_time in (late, slow):
        assert b"200 OK" in accepted_in_time.recv(65536)

    assert idle.recv(1) == b"", "the idle connection ends with an end-of-file, not a reset"
    assert server.end() == 0
    total = sum((client.outcomes for client in clients), Counter())
    assert set(total) == {"right"}
    assert total["right"] > 300
    assert all(client.told_to_close > 5 for client in clients)
    assert sum(client.kept_silent for client in clients) == 0


def test_sigterm_before_the_model_is_loaded_ends_at_once(start: Any) -> None:
    server = start(PERENNIAL_DRAIN_SECONDS="60")
    assert server.request("GET", "/v2/health/live").status == 200
    assert server.request("GET", "/v2/health/ready").status == 503
    refused = server.request("POST", INFER, BODY)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json == {"error": "the model digits is being loaded"}
    server.process.send_signal(signal.SIGTERM)
    assert server.end(timeout=5) == 0
    assert not [entry for entry in server.logs if entry["message"] == "model loaded"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.skops", b"no archive", "model.skops cannot be loaded: BadZipFile"),
        ("model.pkl", pickle.dumps(1), "no *.skops among the model's files; there is model.pkl"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_with_78_and_says_why(
    start: Any, tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    folder, log = tmp_path / "model", tmp_path / "termination-log"
    folder.mkdir()
    (folder / file).write_bytes(content)
    log.touch()
    server = start(PERENNIAL_MODEL_DIR=str(folder), PERENNIAL_TERMINATION_LOG=str(log))
    assert server.end() == 78
    error = json.loads(log.read_text())["error"]
    assert error["reason"] == "ModelLoadFailed"
    assert error["message"].startswith(message)


SCRIPTED = '''
import time
class Scripted:
    """Does what the number says: sleeps so long, computes so long (tens), or fails (negative)."""
    def predict(self, rows):
        number = float(rows[0][0])
        if number < 0:
            raise RuntimeError("out of luck")
        end = time.monotonic() + number % 10
        while number >= 10 and time.monotonic() < end:
            pass
        time.sleep(max(0, end - time.monotonic()))
        return rows[:, 0]
'''


@pytest.fixture
def scripted(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server of one thread and one place to wait, whose model does as the request says."""
    (tmp_path / "scripted_model.py").write_text(SCRIPTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = importlib.import_module("scripted_model").Scripted()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    return start(
        PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        PERENNIAL_MODEL_DIR=str(tmp_path),
        PERENNIAL_MODEL_FORMAT="sklearn-pickle",
        PERENNIAL_THREADS="1",
        PERENNIAL_QUEUE="1",
    ).wait_ready()


def ask(server: Any, number: float, into: list[Any]) -> threading.Thread:
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [number]}]}
    thread = threading.Thread(target=lambda: into.append(server.request("POST", INFER, body)))
    thread.start()
    return thread


def test_health_stays_quick_the_queue_is_bounded_and_sigterm_waits_for_what_runs(scripted: Any) -> None:
    answers: list[Any] = []
    threads = [ask(scripted, 11, answers), ask(scripted, 11, answers)]
    time.sleep(0.3)
    began = time.monotonic()
    assert scripted.request("GET", "/v2/health/live").status == 200
    assert time.monotonic() - began < 0.5
    full = scripted.request(
        "POST", INFER, {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [0]}]}
    )
    assert (full.status, full.headers["Retry-After"]) == (503, "1")
    assert full.json == {"error": "too many predictions are waiting"}

    scripted.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    assert scripted.end() == 0


def test_a_model_that_fails_is_500_and_the_server_goes_on(scripted: Any) -> None:
    answers: list[Any] = []
    for number in (-1, 0):
        ask(scripted, number, answers).join()
    assert [answer.status for answer in answers] == [500, 200]
    assert answers[0].json == {"error": "the model failed: RuntimeError: out of luck"}
    assert "out of luck" in scripted.logged("prediction failed")["exception"]
