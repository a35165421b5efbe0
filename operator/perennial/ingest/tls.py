"""The certificate of the ingest endpoint: made by each replica for itself, or given by the administrator.

A certificate of its own is signed by a CA made for it alone, whose key is thrown away at once: what clients trust can
sign nothing else.
"""

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(hours=48)
# Until a new CA is in all namespaces, in the pods that mount it, and read again by those that look now and then.
SPREADING = timedelta(hours=1)
_SKEW = timedelta(minutes=5)


class Certificate(Protocol):
    """What the endpoint shows to its clients."""

    context: ssl.SSLContext

    def renew(self, now: datetime) -> None:
        """Take a newer certificate into use when its time has come. To be called every few seconds."""
        ...

    def authorities(self) -> str:
        """The CA certificates (PEM) that clients need now and next; empty when it is not for us to say."""
        ...


def server_context() -> ssl.SSLContext:
    """TLS 1.2 or later, HTTP/1.1. One handshake for each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


class GivenCertificate:
    """tls.crt and tls.key in a folder, read again when they change (a mounted Secret), and ca.crt when it is there."""

    def __init__(self, folder: Path) -> None:
        self.context = server_context()
        self._folder = folder
        self._loaded: tuple[int, ...] = ()
        self.renew(datetime.now(UTC))

    def renew(self, now: datetime) -> None:
        """Load the files when they changed. OSError and ssl.SSLError when they cannot be used."""
        files = self._folder / "tls.crt", self._folder / "tls.key"
        changed = tuple(path.stat().st_mtime_ns for path in files)
        if changed != self._loaded:
            self.context.load_cert_chain(*files)
            self._loaded = changed

    def authorities(self) -> str:
        """The content of ca.crt."""
        path = self._folder / "ca.crt"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True, slots=True)
class _Made:
    chain: bytes
    key: bytes
    authority: str
    time: datetime


class OwnCertificate:
    """Made for `names` (DNS names and addresses), followed by a new one after half of its lifetime.

    The new CA is shown for SPREADING before its certificate is used.
    """

    def __init__(self, names: Sequence[str], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.context = server_context()
        self._names = names
        self._current = _make(names, clock())
        self._next: _Made | None = None
        self._use()

    def renew(self, now: datetime) -> None:
        """Make the next certificate, or take it into use."""
        if self._next is None and now - self._current.time > LIFETIME / 2:
            self._next = _make(self._names, now)
        elif self._next and now - self._next.time > SPREADING:
            self._current, self._next = self._next, None
            self._use()

    def authorities(self) -> str:
        """The CA of the present certificate and of the next."""
        return self._current.authority + (self._next.authority if self._next else "")

    def _use(self) -> None:
        # The ssl module reads keys from files only.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "tls.pem")
            path.touch(mode=0o600)
            path.write_bytes(self._current.key + self._current.chain)
            self.context.load_cert_chain(path)


def _make(names: Sequence[str], now: datetime) -> _Made:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # A CA of its own name for each: clients find the right one of many by it.
    issuer = _name(f"perennial-ingest-{os.urandom(8).hex()}")
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name("perennial-ingest"), issuer, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return _Made(certificate.public_bytes(pem), private, authority.public_bytes(pem).decode(), now)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
