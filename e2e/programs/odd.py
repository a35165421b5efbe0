"""A model server of one's own whose model says how it behaves: `fine`, or what it answers to its readiness check."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = next(Path(os.environ["PERENNIAL_MODEL_DIR"]).rglob("*.txt")).read_text()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready" and BEHAVIOUR == "garbage":
            self.wfile.write(b"\x00\xffneither HTTP nor anything else\r\n")
            self.close_connection = True
            return
        body = BEHAVIOUR.encode()
        self.send_response(500 if self.path == "/v2/health/ready" and BEHAVIOUR == "error" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Perennial-Revision", os.environ["PERENNIAL_REVISION"])
        self.send_header("Perennial-Model-Version", os.environ["PERENNIAL_MODEL_VERSION"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
