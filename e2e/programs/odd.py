"""A model server of one's own whose model says how it behaves: `fine`, what it answers to its readiness check, or how
it never gets there. One that serves errs in so many of a hundred answers (`errs 5`), takes so many milliseconds
(`slow 200`) or predicts another number than 0 of what is posted (`predicts 7`). It counts at /metrics, and is told by a
request to do otherwise: /hang, /burn, /grow, /fill (or /fill/leave, to end at once when told to) or /exit/CODE."""

import ctypes
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR, *HOW = next(Path(os.environ["PERENNIAL_MODEL_DIR"]).rglob("*.txt")).read_text().split()
EVER = 10**6
ends = 1.5  # seconds after it is told to
silent = BEHAVIOUR == "silent"
ending = False
answers = {"200": 0, "500": 0, "fast": 0}
counting = threading.Lock()
PAGE = """requests_total{code="200"} %(200)d
requests_total{code="500"} %(500)d
seconds_bucket{le="0.1"} %(fast)d
"""


def grow() -> bytes:
    """More than any limit here."""
    return b"x" * (1 << 30)


def burn() -> None:
    """A tenth of a CPU, for ever."""
    while True:
        enough = time.thread_time() + 0.01
        while time.thread_time() < enough:
            pass
        time.sleep(0.09)


def end(*_: object) -> None:
    """Connections are closed with their next answer, then it is over."""
    global ending
    ending = True
    threading.Timer(ends, os._exit, (0,)).start()


def count() -> bool:
    """Whether this answer, counted now, is an error."""
    with counting:
        number = answers["200"] + answers["500"]
        errs = BEHAVIOUR == "errs" and number % 100 < int(HOW[0])
        answers["500" if errs else "200"] += 1
        answers["fast"] += BEHAVIOUR != "slow"
    return errs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global ends, silent
        if self.path == "/hang":
            silent = True
        elif self.path == "/burn":
            threading.Thread(target=burn, daemon=True).start()
        elif self.path == "/grow":
            grow()
        elif self.path.startswith("/fill"):
            # A server that is still ending when it is killed, or has ended.
            ends = 0 if self.path.endswith("/leave") else EVER
            Path("/scratch/full").write_bytes(bytes(5 << 20))
        elif self.path.startswith("/exit/"):
            os._exit(int(self.path.rpartition("/")[2]))
        asked = self.path == "/v2/health/ready"
        if silent or (asked and BEHAVIOUR == "undecided"):
            time.sleep(EVER)
        if asked and BEHAVIOUR == "garbage":
            self.wfile.write(b"\x00\xffneither HTTP nor anything else\r\n")
            self.close_connection = True
            return
        body, errs = BEHAVIOUR.encode(), asked and BEHAVIOUR == "error"
        if self.path == "/metrics":
            body = (PAGE % answers).encode()
        elif not asked:
            if BEHAVIOUR == "slow":
                time.sleep(int(HOW[0]) / 1000)
            errs = count()
        self.send_response(500 if errs else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Perennial-Revision", os.environ["PERENNIAL_REVISION"])
        self.send_header("Perennial-Model-Version", os.environ["PERENNIAL_MODEL_VERSION"])
        if ending:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"predictions": [%s]}' % (HOW[0] if BEHAVIOUR == "predicts" else "0").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if BEHAVIOUR == "loading":
    time.sleep(EVER)
if BEHAVIOUR == "greedy":
    grow()
if BEHAVIOUR == "segfault":
    ctypes.string_at(0)
# Its child has the port, and answers well for a while; but who was started is gone.
if BEHAVIOUR == "exit" or (BEHAVIOUR == "parent" and os.fork()):
    time.sleep(0.5 if BEHAVIOUR == "parent" else 0)
    os._exit(int(HOW[0]))
signal.signal(signal.SIGTERM, end)
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
