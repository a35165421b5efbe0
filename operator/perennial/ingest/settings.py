"""How the ingest endpoint is run."""

from dataclasses import dataclass
from pathlib import Path

# Of the whole operator. etcd keeps every version of an object until it compacts.
WRITES_PER_SECOND = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`namespace` and `replica` are those of the operator's pod. Without `certificates` it makes its own.

    certificates: folder with tls.crt, tls.key and, for clients to trust, ca.crt, as cert-manager writes them.
    names: DNS names and addresses that the certificate is made for.
    replicas: how many share the writes: each takes its part of WRITES_PER_SECOND.
    """

    namespace: str
    replica: str
    host: str = "0.0.0.0"
    port: int = 8443
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    certificates: Path | None = None
    replicas: int = 1
