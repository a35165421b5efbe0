"""The operator with its ingest endpoint as in production, and senders who say to it what no client library would."""

import asyncio
import os
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.ports import free_ports
from perennial.ingest.tls import _make
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.reporting import Place, Reporter

_STATUS = re.compile(rb"^HTTP/\d\.\d (\d{3}) ", re.MULTILINE)


def certificates(folder: Path) -> Path:
    """tls.crt, tls.key and ca.crt for localhost: what is trusted stays the same when an operator is started again."""
    made = _make(["localhost"], datetime.now(UTC))
    folder.mkdir()
    (folder / "tls.crt").write_bytes(made.chain)
    (folder / "tls.key").write_bytes(made.key)
    (folder / "ca.crt").write_text(made.authority)
    return folder


class Ingesting(Perennial):
    """An operator that takes reports on loopback, in a namespace that is its own."""

    def __init__(
        self,
        server: ApiServer,
        home: Place,
        config: Path,
        trusted: Path,
        *,
        replica: int = 0,
        replicas: int = 1,
        scope: str = "Cluster",
        kubeconfig: Path | None = None,
    ) -> None:
        super().__init__(server, f"{home.name}-{replica}", config, kubeconfig=kubeconfig, namespace=home.name)
        self.reports = free_ports(1)[0]
        self.bundle = (trusted / "ca.crt").read_text()
        self.trust = ssl.create_default_context(cadata=self.bundle)
        self._command += [
            *("--ingest-host", "127.0.0.1", "--ingest-port", str(self.reports)),
            *("--ingest-certificates", str(trusted), "--replicas", str(replicas), "--scope", scope),
        ]

    def listens(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.reports)) == 0

    def ready(self) -> "Ingesting":
        """Itself, when it leads and takes reports."""
        self.started()
        eventually(lambda: self.get("/readyz"), 30)
        return self

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        assert self.process
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """The MiB that it ever had resident."""
        assert self.process
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) // 1024

    def complaints(self) -> list[str]:
        """The errors that it logged: nobody outside makes it err."""
        return [line for line in self.log.read_text().splitlines() if "Traceback" in line or '"level": "error"' in line]


@pytest.fixture(scope="module")
def operator(controlled: ApiServer, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingesting]:
    """One operator for all that is hostile: at the end it is the same process, and has no error to tell."""
    trusted = certificates(tmp_path_factory.mktemp("ingest") / "tls")
    with Ingesting(controlled, Place(controlled), config, trusted) as operator:
        yield operator.ready()
        assert operator.process
        assert operator.process.poll() is None
        assert operator.leads()
        assert operator.complaints() == []


@pytest.fixture
def place(controlled: ApiServer) -> Place:
    """A user's namespace with a ModelDeployment."""
    place = Place(controlled)
    place.deploy()
    return place


def by(operator: Ingesting, token: str | None, address: str = "127.0.0.1") -> Reporter:
    """A sender to the operator."""
    return Reporter(operator.reports, operator.bundle, token, address)


class Wire:
    """A TLS connection from an address of loopback, for bytes as they are. `buffer`: of so many bytes it takes."""

    def __init__(self, operator: Ingesting, address: str = "127.0.0.1", *, buffer: int = 0) -> None:
        self._operator = operator
        self._address = address
        self._buffer = buffer

    async def __aenter__(self) -> "Wire":
        raw = socket.socket()
        raw.setblocking(False)
        if self._buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        raw.bind((self._address, 0))
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._operator.reports))
        except BaseException:
            raw.close()
            raise
        # From here on the transport closes it: were it closed before that, its number would be another connection's.
        self.reader, self.writer = await asyncio.open_connection(
            sock=raw, ssl=self._operator.trust, server_hostname="localhost", limit=2**22
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def send(self, *parts: bytes) -> None:
        """Send; what the other side does not take any more is dropped."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
        except OSError:
            pass

    async def heard(self, seconds: float, most: int = 10**9) -> bytes:
        """What comes until the other side hangs up, or until so many answers came, or for so many seconds."""
        heard = b""
        try:
            async with asyncio.timeout(seconds):
                while part := await self.reader.read(2**16):
                    heard += part
                    if len(statuses(heard)) >= most:
                        break
        except (OSError, TimeoutError):
            pass
        return heard

    async def ends(self, seconds: float) -> bool:
        """Whether the other side hangs up within that time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(2**16):
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def head(where: str, token: str | None, *lines: str, method: str = "POST", version: str = "HTTP/1.1") -> bytes:
    """The head of a request with these further lines."""
    credentials = [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([f"{method} {where} {version}", "Host: localhost", *credentials, *lines, "", ""]).encode(
        "latin-1"
    )


def whole(where: str, token: str | None, body: bytes, *lines: str, method: str = "POST") -> bytes:
    """A request with a body."""
    return head(where, token, f"Content-Length: {len(body)}", *lines, method=method) + body


def statuses(answers: bytes) -> list[int]:
    """The status codes of answers as they came."""
    return [int(code) for code in _STATUS.findall(answers)]


def tally(codes: Sequence[int]) -> str:
    """For messages of failure."""
    return str(dict(Counter(codes)))
