"""Webhooks, asked with what is known of the question."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from perennial.answers import Answers
from perennial.config import Config
from perennial.questions import Answer, Call, Sampled

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED = Call(
    at=NOW,
    since=NOW - timedelta(minutes=5),
    webhook="truth",
    namespace="shop",
    deployment="churn",
    revision="churn-1",
    metric="lift",
)


@contextmanager
def webhook(answer: bytes, status: int, seen: list[Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, self.headers.get("Authorization"), body))
            self.send_response(status)
            if status == 307:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/judge"
        server.shutdown()


async def ask(
    answer: str, status: int = 200, seen: list[Any] | None = None, name: str = "truth", **more: Any
) -> Answer:
    with webhook(answer.encode(), status, [] if seen is None else seen) as url:
        config = Config.model_validate({"webhooks": {name: {"url": url, **more}}})
        async with Answers(config) as answers:
            return await answers.answer(ASKED)


async def test_it_is_told_what_it_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    seen: list[Any] = []
    await ask('{"value": 1}', seen=seen, tokenFile=str(tmp_path / "token"))
    about = {"namespace": "shop", "deployment": "churn", "revision": "churn-1", "metric": "lift"}
    times = {"since": "2026-11-20T11:55:00Z", "time": "2026-11-20T12:00:00Z"}
    assert seen == [("/judge", "Bearer abc", about | times)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('{"value": 0.25}', Answer(Sampled(1, 0.25, 0.25, 0.25))),
        ('{"value": 3, "count": 20, "more": "words"}', Answer(Sampled(20, 3.0, 3.0, 3.0))),
        ('{"value": 3, "count": 20, "minimum": 1, "maximum": 9.5}', Answer(Sampled(20, 3.0, 1.0, 9.5))),
        ('{"value": null}', Answer()),
        ('{"value": 3, "count": 0}', Answer()),
    ],
)
async def test_value(said: str, expected: Answer) -> None:
    assert await ask(said) == expected


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("{}", 200, "webhook truth answered no sample: value: Field required"),
        ("no", 200, "webhook truth answered no sample: Invalid JSON"),
        ('{"value": NaN}', 200, "answered no sample"),
        ('{"value": "high"}', 200, "webhook truth answered no sample: value"),
        ('{"value": 1, "count": -1}', 200, "count: Input should be greater than or equal to 0"),
        ('{"value": 9, "maximum": 5}', 200, "value must lie between minimum and maximum"),
        ("{}", 503, "answered 503"),
        ("{}", 307, "answered 307"),
    ],
)
async def test_what_is_no_answer_is_an_error(said: str, status: int, words: str) -> None:
    found = await ask(said, status)
    assert words in found.error
    assert found.sampled is None


async def test_a_webhook_that_nobody_named() -> None:
    words = "there is no webhook 'truth' in the operator's configuration: other"
    assert (await ask("{}", name="other")).error == words
