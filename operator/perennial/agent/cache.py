"""`python -m perennial.agent cache`: keeps models for the pods of one node, by HTTP.

`GET /models/<digest>` answers with a tar archive, or 404; HEAD with 409 while somebody is bringing it. `PUT` keeps one,
if it is of that digest. Nobody has to be trusted: who reads checks the digest, too.
"""

import logging
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from perennial.agent.shelf import DIGEST, Shelf, Unkept

_CHUNK = 2**20
_QUIET_SECONDS = 60.0

log = logging.getLogger(__name__)


def server(folder: Path, most: int, address: tuple[str, int]) -> ThreadingHTTPServer:
    """The server, bound to its port, not yet serving."""
    shelf = Shelf(folder, most)

    class Handler(_Handler):
        pass

    Handler.shelf = shelf
    return _Server(address, Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        log.warning("a request broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _QUIET_SECONDS
    shelf: Shelf

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200)
            return
        wanted = self._wanted()
        archive = self.shelf.open(wanted) if wanted else None
        if archive is None:
            self._answer(404)
            return
        with archive:
            size = archive.seek(0, 2)
            archive.seek(0)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            shutil.copyfileobj(archive, self.wfile, _CHUNK)

    def do_HEAD(self) -> None:
        wanted = self._wanted()
        archive = self.shelf.open(wanted) if wanted else None
        if archive is not None:
            archive.close()
            self._answer(200)
        else:
            self._answer(409 if wanted and self.shelf.coming(wanted) else 404)

    def do_PUT(self) -> None:
        # What is left unread would be taken for the next request.
        self.close_connection = True
        wanted = self._wanted()
        if wanted is None or self.headers.get("Transfer-Encoding") != "chunked":
            self._answer(400)
            return
        try:
            self.shelf.take(wanted, self._chunks())
        except Unkept as why:
            log.warning("not kept: %s", why, extra={"digest": wanted})
            self._answer(409)
        except ValueError:
            self._answer(400)
        else:
            log.info("kept", extra={"digest": wanted})
            self._answer(201)

    def _wanted(self) -> str | None:
        folder, _, name = self.path.rpartition("/")
        return name if folder == "/models" and DIGEST.fullmatch(name) else None

    def _chunks(self) -> Iterator[bytes]:
        """The body, as it is cut on the way. ValueError when it is cut wrongly."""
        while length := int(self.rfile.readline(32).strip(), 16):
            while length:
                part = self.rfile.read(min(length, _CHUNK))
                if not part:
                    raise ValueError("it breaks off")
                length -= len(part)
                yield part
            if self.rfile.read(2) != b"\r\n":
                raise ValueError("a chunk has no end")
        # Unread, it would have the answer thrown away.
        self.rfile.readline(32)

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
