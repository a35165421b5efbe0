"""Model servers that the agent asks."""

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[Any], tuple[int, bytes]]


def says(answer: Callable[[Any], Any]) -> Answer:
    """Always 200, with this JSON."""
    return lambda body: (200, json.dumps(answer(body)).encode())


@dataclass
class Server(http.server.ThreadingHTTPServer):
    """A model server that answers what a function says."""

    answer: Answer
    asked: list[Any] = field(default_factory=list)
    redirects: str = ""

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/invocations"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        code, answer = self.server.answer(body)
        self.send_response(code)
        if self.server.redirects:
            self.send_header("Location", self.server.redirects)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with it."""
    with contextlib.ExitStack() as stack:

        def start(answer: Answer, **fields: Any) -> Server:
            server = Server(answer, **fields)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return server

        yield start
