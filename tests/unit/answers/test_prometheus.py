"""Prometheus servers, asked as its HTTP API says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from perennial.answers import Answers
from perennial.config import Config
from perennial.questions import Answer, Query, Sampled

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEEN: list[tuple[str, str]] = []


def vector(*values: str) -> dict[str, Any]:
    series = [{"metric": {"pod": str(at)}, "value": [1.0, value]} for at, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": series}}


ANSWERS: dict[str, tuple[int, Any]] = {
    "one": (200, vector("0.25")),
    "many": (200, vector("1", "2")),
    "none": (200, vector()),
    "nan": (200, vector("NaN")),
    "scalar": (200, {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "3"]}}),
    "count": (200, vector("120.4")),
    "zero": (200, vector("0")),
    "wrong": (400, {"status": "error", "errorType": "bad_data", "error": "parse error at char 1"}),
    "down": (503, "no"),
    "odd": (200, {"data": {"resultType": "vector", "result": [{}]}}),
}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        (query,) = parse_qs(body)["query"]
        SEEN.append((self.path, self.headers.get("Authorization", "")))
        status, answer = ANSWERS[query]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/prefix/"
        server.shutdown()


async def ask(query: str, samples: str = "", name: str = "main", **more: Any) -> Answer:
    with served() as url:
        config = Config.model_validate({"prometheusServers": {"main": {"url": url, **more}}})
        async with Answers(config) as answers:
            return await answers.answer(Query(NOW, name, query, samples))


@pytest.mark.parametrize(
    ("query", "samples", "expected"),
    [
        ("one", "", Answer(Sampled(1, 0.25, 0.25, 0.25))),
        ("one", "count", Answer(Sampled(120, 0.25, 0.25, 0.25))),
        ("scalar", "", Answer(Sampled(1, 3.0, 3.0, 3.0))),
        ("none", "", Answer()),
        ("nan", "", Answer()),
        ("one", "none", Answer()),
        ("one", "zero", Answer()),
    ],
)
async def test_value(query: str, samples: str, expected: Answer) -> None:
    assert await ask(query, samples) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("many", "gives 2 series, and one is wanted"),
        ("wrong", "the expression is refused: parse error at char 1"),
        ("down", "answered 503"),
        ("odd", "no answer of a Prometheus server"),
    ],
)
async def test_error(query: str, words: str) -> None:
    assert words in (await ask(query)).error


async def test_a_server_that_nobody_named() -> None:
    words = "there is no Prometheus server 'other' in the operator's configuration: main"
    assert (await ask("one", name="other")).error == words


async def test_with_a_token_that_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    SEEN.clear()
    await ask("one", tokenFile=str(tmp_path / "token"))
    assert SEEN == [("/prefix/api/v1/query", "Bearer abc")]
