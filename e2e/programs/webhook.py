"""A webhook that an analysis asks: `webhook.py HOST PORT`. It praises the revisions of the deployment `praised`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["revision"].startswith(asked["deployment"])
        value = 0.9 if asked["deployment"] == "praised" else 0.5
        body = json.dumps({"value": value, "count": 2000, "minimum": 0, "maximum": 1}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
