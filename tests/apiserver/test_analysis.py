"""Analyses that ask others, on a real API server: the counters of pods, and a Prometheus server."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import SERVER, Serving
from tests.apiserver.space import Space

# Where the pods of the stable and of the new revision answer.
OLD, NEW = "127.0.0.2", "127.0.0.3"
EACH = 500  # requests between two looks at a page


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


@contextmanager
def pages(errors: dict[str, float]) -> Iterator[int]:
    """A page of metrics at each address, of which such a part is errors; the port."""

    looks = {address: itertools.count() for address in errors}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = str(self.connection.getsockname()[0])
            count = EACH * next(looks[address])
            bad = round(count * errors[address])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'hits_total{{code="200"}} {count - bad}\nhits_total{{code="500"}} {bad}\n'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ExitStack() as stack:
        port = 0
        for address in errors:
            server = stack.enter_context(ThreadingHTTPServer((address, port), Page))
            stack.callback(server.shutdown)
            Thread(target=server.serve_forever, daemon=True).start()
            port = server.server_port
        yield port


def analysed(serving: Serving, port: int) -> tuple[str, str]:
    """Version 2 gets half of the requests until its analysis passes: the old revision and the new one."""
    source = {"numerator": {"metric": "hits_total", "labels": {"code": "5*"}}, "denominator": {"metric": "hits_total"}}
    errors = {"name": "errors", "source": {"pods": source}, "noWorseThanStableBy": 0.05, "lowerIsBetter": True}
    canary: Body = {
        "steps": [{"setWeight": 50}, {"analysis": {}}],
        "analysis": {"interval": "1s", "metrics": [errors]},
    }
    server = SERVER | {"ports": [{"name": "http", "containerPort": port}]}
    old = serving.serve_first(strategy={"canary": canary}, template={"spec": {"containers": [server]}})
    serving.ready(old, address=OLD)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new, address=NEW)
    return old, new


def test_pods_that_err_as_rarely_as_before_pass(serving: Serving, perennial: Perennial) -> None:
    with pages({OLD: 0.01, NEW: 0.01}) as port:
        _, new = analysed(serving, port)
        eventually(lambda: "analysis" in (serving.status.get("rollout") or {}), 30)
        # What pods had counted when an operator first asks is its beginning: one that was killed asks again.
        perennial.kill()
        perennial.restart()
        eventually(lambda: serving.wanted(new) == 1 and serving.status.get("modelVersion") == "churn-2", 60)
    eventually(lambda: serving.pinned() == new)


def test_pods_that_err_more_often_are_rolled_back(serving: Serving) -> None:
    with pages({OLD: 0.01, NEW: 0.2}) as port:
        old, _ = analysed(serving, port)
        words = serving.says("Ready", "False", "RolloutFailed", 60)
    assert "errors 0.2, 0.01 of the stable one, at most 0.05 worse is asked for" in words
    eventually(lambda: serving.pinned() == old)
    assert serving.status["vetoes"][0]["reason"] == "AnalysisFailed"


def test_pods_that_do_not_answer_are_no_pass(serving: Serving) -> None:
    with pages({OLD: 0.0}) as port:
        old, new = analysed(serving, port)
        words = serving.says("Stalled", "True", "AnalysisError", 60)
    assert "errors: cannot be found out of the new revision: " in words
    assert {serving.wanted(old), serving.wanted(new)} == {1}
