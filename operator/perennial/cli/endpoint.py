"""One report over HTTPS to the operator's ingest endpoint, as docs/metrics.md describes it."""

import json
import socket
import ssl
from collections.abc import Sequence
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult

from perennial.cli.problem import Problem

# Seconds. The endpoint answers after the write, which waits its turn.
_PATIENCE = 60


class Endpoint:
    """Where reports go. authorities: PEM of what is trusted beside what the machine trusts. tunnel: a connection that
    is there already, as to the host."""

    def __init__(self, url: SplitResult, authorities: str, tunnel: socket.socket | None = None) -> None:
        context = ssl.create_default_context()
        if authorities:
            context.load_verify_locations(cadata=authorities)
        self._url = url
        self._connection = _Connection(url.hostname or "", url.port, context, tunnel)

    def report(self, namespace: str, deployment: str, token: str, samples: Sequence[dict[str, Any]]) -> None:
        """Return when the samples are stored. Problem says why they are not."""
        path = f"{self._url.path.rstrip('/')}/v1/namespaces/{namespace}/modeldeployments/{deployment}/metrics"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            self._connection.request("POST", path, json.dumps({"samples": samples}), headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except ssl.SSLCertVerificationError as error:
            raise Problem(
                f"the certificate of {self._url.netloc} is not to be trusted ({error.verify_message}): one of a new "
                "replica is known after a minute or two; for another, SSL_CERT_FILE names what to trust"
            ) from None
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Problem(
                f"{self._url.netloc} does not answer ({why}): is the operator running, is --url right?"
            ) from None
        finally:
            self._connection.close()
        if answer.status != 200:
            raise Problem(refusal(answer.status, body, answer.headers.get("Retry-After"), self._url.netloc))


def refusal(status: int, body: bytes, retry_after: str | None, host: str) -> str:
    """What the endpoint said, and what to do."""
    try:
        words = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{host} answers {status}, and not as Perennial's ingest endpoint does: is --url right?"
    again = f"; report again in {retry_after} s" if retry_after else ""
    return f"refused ({status}): {words}{again}"


class _Connection(HTTPSConnection):
    def __init__(self, host: str, port: int | None, context: ssl.SSLContext, tunnel: socket.socket | None) -> None:
        super().__init__(host, port, context=context, timeout=_PATIENCE)
        self._trusted, self._through = context, tunnel

    def connect(self) -> None:
        if self._through is None:
            super().connect()
        else:
            self._through.settimeout(_PATIENCE)
            self.sock = self._trusted.wrap_socket(self._through, server_hostname=self.host)
