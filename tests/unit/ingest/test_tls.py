"""Certificates: whom they convince, and when they are followed by others."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perennial.ingest.tls import LIFETIME, SPREADING, Certificate, GivenCertificate, OwnCertificate, server_context

NOW = datetime.now(UTC)
NAMES = ("perennial.perennial.svc", "localhost", "10.1.2.3")


def shown(certificate: Certificate, trusted: str, name: str) -> str:
    """The serial number of what a strict client that trusts these sees. SSLError when it is not convinced."""
    client = ssl.create_default_context(cadata=trusted)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server, other = ssl.MemoryBIO(), ssl.MemoryBIO(), None
    mine = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    while True:
        done = True
        for side in (mine, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                done = False
        if done:
            return str((mine.getpeercert() or {})["serialNumber"])


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_client_is_convinced_of_each_name(name: str) -> None:
    certificate = OwnCertificate(NAMES)
    assert shown(certificate, certificate.authorities(), name)


def test_another_name_does_not_convince() -> None:
    certificate = OwnCertificate(NAMES)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shown(certificate, certificate.authorities(), "elsewhere.svc")


def test_the_authority_of_another_replica_does_not_convince() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shown(OwnCertificate(NAMES), OwnCertificate(NAMES).authorities(), "localhost")


def test_an_old_protocol_is_refused() -> None:
    assert server_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_next_one_is_shown_before_it_is_used() -> None:
    certificate = OwnCertificate(NAMES, clock=lambda: NOW)
    first = certificate.authorities()
    serial = shown(certificate, first, "localhost")

    certificate.renew(NOW + LIFETIME / 2)
    assert certificate.authorities() == first

    half = NOW + LIFETIME / 2 + timedelta(seconds=1)
    certificate.renew(half)
    both = certificate.authorities()
    assert both.startswith(first)
    assert both.count("BEGIN CERTIFICATE") == 2
    assert shown(certificate, first, "localhost") == serial

    certificate.renew(half + SPREADING + timedelta(seconds=1))
    second = certificate.authorities()
    assert second == both.removeprefix(first)


def test_clients_that_read_the_bundle_meanwhile_notice_no_change() -> None:
    then = NOW - LIFETIME / 2 - timedelta(hours=2)
    certificate = OwnCertificate(NAMES, clock=lambda: then)
    before = shown(certificate, certificate.authorities(), "localhost")
    certificate.renew(NOW - SPREADING - timedelta(minutes=5))
    bundle = certificate.authorities()
    certificate.renew(NOW)
    assert shown(certificate, bundle, "localhost") != before


def give(folder: Path, certificate: OwnCertificate) -> str:
    made = certificate._current
    (folder / "tls.crt").write_bytes(made.chain)
    (folder / "tls.key").write_bytes(made.key)
    (folder / "ca.crt").write_text(made.authority)
    return made.authority


def test_a_given_certificate_is_read_again_when_it_changes(tmp_path: Path) -> None:
    first = give(tmp_path, OwnCertificate(NAMES))
    certificate = GivenCertificate(tmp_path)
    assert certificate.authorities() == first
    before = shown(certificate, first, "localhost")

    second = give(tmp_path, OwnCertificate(NAMES))
    certificate.renew(NOW)
    assert shown(certificate, second, "localhost") != before


def test_a_given_certificate_of_a_public_authority_has_no_bundle(tmp_path: Path) -> None:
    give(tmp_path, OwnCertificate(NAMES))
    (tmp_path / "ca.crt").unlink()
    assert GivenCertificate(tmp_path).authorities() == ""
