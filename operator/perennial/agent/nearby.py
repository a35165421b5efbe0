"""The cache of the node (see `cache`), for who fetches a model. It saves time, and is needed by nobody: whatever goes
wrong with it, the store is asked."""

import http.client
import logging
import shutil
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from perennial.agent import digest
from perennial.agent.failure import Unsuitable
from perennial.agent.shelf import names_of
from perennial.agent.transfer import empty

# Where no cache runs on a node, nobody answers.
_CONNECT_SECONDS, _QUIET_SECONDS = 2.0, 60.0
_BLOCK = 2**20

log = logging.getLogger(__name__)


class Cache:
    """The cache at an URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80

    def fetch(self, wanted: str, folder: Path) -> bool:
        """Whether the folder, emptied first, has the files of this digest now."""
        return self._tried(lambda: self._fetch(wanted, folder), "read from")

    def offer(self, wanted: str, folder: Path) -> bool:
        """Have the files of a folder kept, unless they are already, or somebody else brings them."""
        return self._tried(lambda: self._offer(wanted, folder), "written to")

    def _tried(self, act: Callable[[], bool], what: str) -> bool:
        try:
            return act()
        except Exception as error:
            log.warning("the node's cache cannot be %s: %s: %s", what, type(error).__name__, error)
            return False

    def _fetch(self, wanted: str, folder: Path) -> bool:
        empty(folder)
        with closing(self._connected()) as connection:
            connection.request("GET", f"/models/{wanted}")
            answer = connection.getresponse()
            if answer.status != 200:
                return False
            began = time.monotonic()
            with tarfile.open(fileobj=answer, mode="r|", bufsize=_BLOCK) as tar:
                _unpack(tar, folder)
        found = names_of({name: digest.of_file(folder / name) for name in digest.tree(folder)})
        if wanted not in found:
            log.warning("what the node's cache has is not of the digest %s", wanted)
            return False
        log.info("taken from the node's cache", extra={"digest": wanted, "seconds": round(time.monotonic() - began, 2)})
        return True

    def _offer(self, wanted: str, folder: Path) -> bool:
        with closing(self._connected()) as connection:
            connection.request("HEAD", f"/models/{wanted}")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 404:
                return False
            connection.putrequest("PUT", f"/models/{wanted}")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            # It needs no more of a file than that.
            with tarfile.open(fileobj=_Chunks(connection), mode="w|", bufsize=_BLOCK) as tar:  # type: ignore[call-overload]
                for name in digest.tree(folder):
                    tar.add((folder / name).resolve(), name, recursive=False)
            connection.send(b"0\r\n\r\n")
            return connection.getresponse().status == 201

    def _connected(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS)
        connection.connect()
        connection.sock.settimeout(_QUIET_SECONDS)
        return connection


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Only files, and only below the folder: by hand, since not every Python that this runs on can be told so."""
    for member in tar:
        path, content = PurePosixPath(member.name), tar.extractfile(member) if member.isreg() else None
        if content is None or path.is_absolute() or ".." in path.parts:
            raise Unsuitable(f"{member.name!r} is no file of a model")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("wb") as file:
            shutil.copyfileobj(content, file, _BLOCK)


class _Chunks:
    """What is written to it is sent as the chunks of a body."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        if data:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
        return len(data)
