"""Everything that an attacker says to the ingest endpoint is refused or bounded, and costs no other sender."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import MODELDEPLOYMENTS
from perennial.ingest.auth import AUDIENCE
from tests.apiserver.reporting import RBAC, Place, Reporter, path, sample, until
from tests.prove.ingesting import Ingesting, Wire, certificates, head, statuses, tally, whole
from tests.prove.report import FULL, Proof, scaled

pytestmark = pytest.mark.proof("Ingest")
BODY = json.dumps({"samples": [sample()]}).encode()
ISSUER = "https://kubernetes.default.svc.cluster.local"


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
    place = Place(controlled)
    place.deploy()
    return place


def by(operator: Ingesting, token: str | None, address: str = "127.0.0.1") -> Reporter:
    return Reporter(operator.reports, operator.bundle, token, address)


# Who asks.


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


class Forger:
    """Signs claims as the API server does, with its own key, another one, or none."""

    def __init__(self, server: ApiServer, token: str) -> None:
        key = serialization.load_pem_private_key((server.folder / "sa.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.key = key
        self.public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        header = token.split(".")[0]
        self.header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        self.claims = _read(token)

    def sign(self, key: rsa.RSAPrivateKey | None = None, **changed: Any) -> str:
        """A token of these claims; None leaves one out."""
        claims = {name: value for name, value in (self.claims | changed).items() if value is not None}
        text = f"{_b64(json.dumps(self.header).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{text}.{_b64((key or self.key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def unsigned(self, algorithm: str) -> str:
        """A token that says how it is signed: not at all, or by the public key as if it were a secret."""
        text = f"{_b64(json.dumps(self.header | {'alg': algorithm}).encode())}.{_b64(json.dumps(self.claims).encode())}"
        return f"{text}.{_b64(hmac.digest(self.public, text.encode(), hashlib.sha256)) if algorithm != 'none' else ''}"


async def test_no_token_but_a_good_one_is_taken(operator: Ingesting, place: Place, proof: Proof) -> None:
    token = place.reporter()
    forger = Forger(place.server, token)
    now, kubernetes = int(time.time()), forger.claims["kubernetes.io"]
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pod = place.server.request("POST", f"/api/v1/namespaces/{place.name}/pods", _pod("good"))["metadata"]["uid"]
    bad = {
        "expired a while ago": forger.sign(exp=now - 70, iat=now - 700, nbf=now - 700),
        "expired long ago": forger.sign(exp=1, iat=0, nbf=0),
        "not valid yet": forger.sign(nbf=now + 600, exp=now + 1200),
        "negative times": forger.sign(exp=-1, iat=-2, nbf=-2),
        "of another audience": forger.sign(aud=["vault"]),
        "of no audience": forger.sign(aud=[]),
        "without audience": forger.sign(aud=None),
        "for the API server": forger.sign(aud=[ISSUER]),
        "of an audience like ours": forger.sign(aud=["Perennial", "perennial ", "perennial.dev"]),
        "of another issuer": forger.sign(iss="https://elsewhere.example"),
        "signed by another key": forger.sign(other),
        "not signed": forger.unsigned("none"),
        "signed with the public key": forger.unsigned("HS256"),
        "of another uid": forger.sign(
            **{"kubernetes.io": kubernetes | {"serviceaccount": {"name": "monitor", "uid": "x"}}}
        ),
        "of an account that is not there": forger.sign(
            sub=f"system:serviceaccount:{place.name}:ghost",
            **{"kubernetes.io": kubernetes | {"serviceaccount": {"name": "ghost", "uid": "x"}}},
        ),
        "of a pod that is gone": forger.sign(**{"kubernetes.io": kubernetes | {"pod": {"name": "gone", "uid": "x"}}}),
        "of an earlier pod of a name": forger.sign(
            **{"kubernetes.io": kubernetes | {"pod": {"name": "good", "uid": "x"}}}
        ),
        "of nobody": forger.sign(sub=None, **{"kubernetes.io": None}),
        "cut off": token[:-20],
        "with more behind it": f"{token}.{token}",
        "empty": "=",
        "long": "a" * 7000,
        "of dots": "." * 1000,
    }
    good = {
        "its own": token,
        "signed by us": forger.sign(),
        "of a pod that is there": forger.sign(**{"kubernetes.io": kubernetes | {"pod": {"name": "good", "uid": pod}}}),
    }
    wrong = []
    for who, one in bad.items():
        async with by(operator, one) as reporter:
            answer = await reporter.report(place, sample())
        if answer.status != 401 or "give a Kubernetes token of audience 'perennial'" not in answer.body["error"]:
            wrong.append((who, answer))
        proof.count("bad tokens refused")
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    for who, one in good.items():
        async with by(operator, one) as reporter:
            assert (await reporter.report(place, sample())).status == 200, who
    assert place.counted() == len(good)


def _pod(name: str, account: str = "monitor") -> dict[str, Any]:
    container = {"name": "main", "image": "monitor:1"}
    return {
        "metadata": {"name": name},
        "spec": {"serviceAccountName": account, "nodeName": "nowhere", "containers": [container]},
    }


async def test_nobody_reports_where_he_may_not(operator: Ingesting, place: Place, proof: Proof) -> None:
    other = Place(place.server)
    other.deploy()
    place.deploy("fraud")
    monitor = place.reporter(deployments=["churn"])
    place.account("training")
    names = ["fraud", "churn-1", "Churn", "churn%00", "churn%2f", "%2e%2e", "..%2fchurn", "churn%2F..%2Ffraud", "*"]
    names += ["churn%20", "chu%CC%88rn", "сhurn", "churn%E2%80%8B", "churn%0d%0aX:%20y", "a" * 64, "a" * 5000, ";churn"]
    where = [path(place, name) for name in names]
    where += [path(other), path(other, "..%2F..%2F" + place.name + "%2Fmodeldeployments%2Fchurn")]
    where += [f"/v1/namespaces/{other.name}/../{place.name}/modeldeployments/churn/metrics".replace("..", "%2E%2E")]
    where += [f"/v1/namespaces/{name}/modeldeployments/churn/metrics" for name in ("kube-system", "%2A", "", "-")]
    tries = [(monitor, one) for one in where] + [(place.token("training"), path(place))]
    wrong = []
    async with Wire(operator) as wire:
        for number, (token, one) in enumerate(tries):
            await wire.send(whole(one.encode().decode("latin-1"), token, BODY))
            answers = await wire.heard(5, 1)
            if not set(statuses(answers)) & {400, 403, 404}:
                wrong.append((one, answers))
            proof.count("reports elsewhere refused")
            if number % 8 == 7:
                await asyncio.sleep(1)
    for one in (place, other):
        assert (
            one.server.request("GET", f"/apis/perennial.dev/v1alpha1/namespaces/{one.name}/metricseries")["items"] == []
        )


@pytest.mark.skipif(not FULL, reason="waits for twenty seconds, which the unit tests of verdicts do not")
async def test_what_was_taken_away_counts_no_longer_than_said(operator: Ingesting, place: Place, proof: Proof) -> None:
    server, space = place.server, f"/api/v1/namespaces/{place.name}"
    tokens = {name: place.reporter(name) for name in ("pod", "account", "role", "expiring", "deployment", "kept")}
    server.request("POST", f"{space}/pods", _pod("monitor", "pod"))
    bound = {"audiences": [AUDIENCE], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "monitor"}}
    made = server.request("POST", f"{space}/serviceaccounts/pod/token", {"spec": bound})
    tokens["pod"] = made["status"]["token"]
    place.deploy("leaving")
    forger = Forger(server, tokens["expiring"])
    # The API server allows for a minute of difference between clocks.
    tokens["expiring"] = forger.sign(exp=int(time.time()) - 54)
    reporters = {name: by(operator, token) for name, token in tokens.items()}

    async def status(name: str) -> int:
        return (
            await reporters[name].report(place, sample(), name="leaving" if name == "deployment" else "churn")
        ).status

    assert [await status(name) for name in tokens] == [200] * 6
    server.request("DELETE", f"{space}/pods/monitor?gracePeriodSeconds=0")
    server.request("DELETE", f"{space}/serviceaccounts/account")
    server.request("DELETE", f"{RBAC}/namespaces/{place.name}/rolebindings/role")
    server.request("DELETE", MODELDEPLOYMENTS.path(place.name, "leaving"))
    expected = {"pod": 401, "account": 401, "role": 403, "expiring": 401, "deployment": 404}
    # A verdict is remembered for 20 seconds; the API server's own memory of tokens and roles comes on top.
    deadline = time.monotonic() + 40
    while expected:
        for name in [name for name, code in expected.items() if await status(name) == code]:
            del expected[name]
            proof.count("rights taken away")
        assert time.monotonic() < deadline, expected
        await asyncio.sleep(1)
    assert await status("kept") == 200
    for reporter in reporters.values():
        await reporter.__aexit__()


# What is said.


def _reports() -> dict[str, tuple[bytes, int]]:
    """Bodies that no sender may get away with, and what each is answered."""

    def of(**fields: Any) -> bytes:
        return json.dumps({"samples": [sample() | fields]}).encode()

    def raw(field: str, text: str) -> bytes:
        return json.dumps({"samples": [sample() | {field: "@"}]}).replace('"@"', text).encode()

    now = time.time()
    bad: dict[str, bytes] = {}
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e101", "0x10", "1_000", "+1", ".5", "1.", "01"):
        bad[f"value {text}"] = raw("value", text)
    for text in (
        '"0.9"',
        "null",
        "true",
        "[]",
        "{}",
        '"NaN"',
        "9" * 5000,
        "9" * 4000,
        f"1{'0' * 101}",
        "1e" + "9" * 400,
    ):
        bad[f"value {text[:9]}"] = raw("value", text)
    for field in ("timestamp", "count"):
        for text in (
            "NaN",
            "Infinity",
            "-1",
            "-1e300",
            "1e300",
            "9" * 5000,
            "true",
            '""',
            "[]",
            '"yesterday"',
            "1e400",
        ):
            bad[f"{field} {text[:9]}"] = raw(field, text)
    for count in ("0", "1.5", "1e3", str(10**9 + 1), '"1"'):
        bad[f"count {count}"] = raw("count", count)
    for moment in (0, -62135596800, now + 400, now + 86400, now * 1000, now * 10**9, now - 30 * 86400 - 60):
        bad[f"timestamp {moment}"] = of(timestamp=moment)
    for moment in (
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-11-21T10:00:00",
        "2026-13-01T00:00:00Z",
    ):
        bad[f"timestamp {moment}"] = of(timestamp=moment)
    names = [
        "",
        " ",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "ａ",
        "a\u200b",
        "\u202ea",
        "../a",
        "a/b",
        "a" * 64,
        "0a",
        "-a",
        "a;b",
        "a'b",
    ]
    for name in (*names, "\ud800", "ᴬ", "а", "a" * 100_000, "${a}", "{{a}}", "%s"):
        bad[f"name {name[:9]!a}"] = of(name=name)
        bad[f"revision {name[:9]!a}"] = of(revision=name if name not in ("0a",) else "A")
    for text in ("[]", "null", "0", '""', "true", "{}", '{"samples": []}', '{"samples": {}}', '{"samples": [null]}'):
        bad[f"body {text}"] = text.encode()
    bad |= {
        "no body": b"",
        "no JSON": b"name=accuracy&value=1",
        "two bodies": BODY + BODY,
        "a tail": BODY + b"\x00",
        "UTF-16 of half a character": b"\xff\xfe\x00\xd8",
        "no UTF-8": BODY.replace(b"accuracy", b"\xc3\x28"),
        "a key twice": BODY.replace(b'"value": 0.9', b'"value": 0.9, "value": 0.1'),
        "samples twice": b'{"samples": [], ' + BODY[1:],
        "a key of ours": of(namespace="kube-system"),
        "a key __proto__": of(__proto__={}, constructor=1),
        "many keys": of(**{f"k{i}": i for i in range(15_000)}),
        "deep lists": b"[" * 200_000,
        "deep objects": b'{"a":' * 50_000,
        "deep and closed": b'{"samples":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "a sample too many": json.dumps({"samples": [sample()] * 1001}).encode(),
        "empty samples": b'{"samples": [' + b"{}," * 80_000 + b"{}]}",
        "numbers": b"[" + b"1," * 120_000 + b"1]",
        "escapes": b'{"samples": "' + b"\\u0061" * 40_000 + b'"}',
        "unfinished": BODY[:-2],
        "a good and a bad one": json.dumps({"samples": [sample(), sample(value="x")]}).encode(),
    }
    found = {what: (body, 400) for what, body in bad.items()}
    return found | {
        "too large": (BODY + b" " * 256 * 1024, 413),
        "far too large": (b"1" * 4_000_000, 413),
    }


async def test_no_bad_report_counts(operator: Ingesting, place: Place, proof: Proof) -> None:
    tokens = [place.reporter(f"monitor-{number}") for number in range(8)]
    reports = list(_reports().items())

    async def send(token: str, mine: list[Any]) -> None:
        async with by(operator, token) as reporter:
            for what, (body, status) in mine:
                answer = await reporter.send(path(place), body)
                words = answer.body["error"] if isinstance(answer.body, dict) else ""
                if answer.status != status or not words or len(json.dumps(answer.body)) > 4096:
                    wrong.append((what, answer.status, answer.body))
                proof.count("bad reports refused")
                # Ten in a second are taken.
                await asyncio.sleep(0.1)

    wrong: list[Any] = []
    await asyncio.gather(*(send(token, reports[number::8]) for number, token in enumerate(tokens)))
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    async with by(operator, tokens[0]) as reporter:
        await asyncio.sleep(1)
        assert (await reporter.report(place, sample())).status == 200
    assert place.counted() == 1


# How it is said. Whoever hangs up on nonsense without a word is right as well: an empty tuple of codes says so.

CHUNKED = "Transfer-Encoding: chunked"


def _requests(where: str, token: str) -> dict[str, tuple[bytes, set[int]]]:
    good = whole(where, token, BODY)
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    size = f"Content-Length: {len(BODY)}"
    found: dict[str, tuple[bytes, set[int]]] = {
        "length and chunks": (head(where, token, size, CHUNKED) + chunk + good, {400}),
        "chunks and length": (head(where, token, CHUNKED, "Content-Length: 4") + chunk + good, {400}),
        "two lengths": (head(where, token, size, "Content-Length: 0") + BODY, {400}),
        "a list of lengths": (head(where, token, f"{size}, {len(BODY)}") + BODY, {400}),
        "a negative length": (head(where, token, "Content-Length: -1") + BODY, {400}),
        "a signed length": (head(where, token, f"Content-Length: +{len(BODY)}") + BODY, {400}),
        "a length in hexadecimal": (head(where, token, "Content-Length: 0x10") + BODY, {400}),
        "a length in other digits": (head(where, token, "Content-Length: \xb2") + BODY, {400}),
        "a huge length": (head(where, token, f"Content-Length: {10**30}"), {400, 413}),
        "a length that is too large": (head(where, token, f"Content-Length: {10**12}"), {413}),
        "unknown transfer coding": (head(where, token, "Transfer-Encoding: gzip, chunked") + chunk, {400, 415, 501}),
        "identity and chunked": (head(where, token, "Transfer-Encoding: identity") + chunk, {400, 501}),
        "chunked twice": (head(where, token, CHUNKED, CHUNKED) + chunk, {400}),
        "chunked, hidden by a tab": (head(where, token, "Transfer-Encoding:\x0bchunked") + chunk, {400}),
        "a space before the colon": (head(where, token, f"Content-Length : {len(BODY)}") + BODY, {400}),
        "a folded header": (head(where, token, "X-A: b\r\n c", size) + BODY, {400}),
        "a bare line feed": (head(where, token, f"X-A: b\nContent-Length: {len(BODY)}") + BODY, {400}),
        "a bare carriage return": (head(where, token, "X-A: b\rX-B: c", size) + BODY, {400}),
        "a NUL": (head(where, token, "X-A: \x00", size) + BODY, {400}),
        "a chunk of a bad size": (head(where, token, CHUNKED) + b"xyz\r\n", {400}),
        "a chunk of a negative size": (head(where, token, CHUNKED) + b"-1\r\n", {400}),
        "a chunk of a huge size": (head(where, token, CHUNKED) + b"f" * 40 + b"\r\n", {400}),
        "a chunk that goes on": (head(where, token, CHUNKED) + b"2\r\n[][]\r\n0\r\n\r\n", {400}),
        "chunks too many": (head(where, token, CHUNKED) + b"1000\r\n" + (b" " * 4096 + b"\r\n1000\r\n") * 100, {413}),
        "gzip": (whole(where, token, b"\x1f\x8b" * 100, "Content-Encoding: gzip"), {415}),
        "deflate": (whole(where, token, b"x", "Content-Encoding: deflate"), {415}),
        "brotli and identity": (whole(where, token, b"x", "Content-Encoding: br, identity"), {415}),
        "a gzip bomb": (whole(where, token, b"\x1f\x8b\x08" + b"\0" * 200_000, "Content-Encoding: gzip"), {415}),
        "a long header": (head(where, token, "X-A: " + "a" * 20_000, size), {400, 431}),
        "an endless header": (head(where, token)[:-4] + b"\r\nX-A: " + b"a" * 2_000_000, {400, 431}),
        "many headers": (head(where, token, *[f"X-{i}: {i}" for i in range(500)], size), {400, 431}),
        "endless headers": (head(where, token)[:-2] + b"X-A: b\r\n" * 200_000, {400, 431}),
        "a long path": (head("/" + "a" * 20_000, token), {400, 414}),
        "an endless path": (b"POST /" + b"a" * 2_000_000, {400, 414}),
        "no host": (f"POST {where} HTTP/1.1\r\n{size}\r\n\r\n".encode() + BODY, {400, 401}),
        "two tokens": (whole(where, "x", BODY, f"Authorization: Bearer {token}"), {400, 401}),
        "basic credentials": (whole(where, None, BODY, "Authorization: Basic YTpi"), {401}),
        "a token with a space": (whole(where, f"{token} x", BODY), {401}),
        "an identity of a proxy": (whole(where, None, BODY, "X-Remote-User: admin", "Impersonate-User: admin"), {401}),
        "a token as a query": (whole(f"{where}?access_token={token}", None, BODY), {401}),
        "another path": (whole("/", token, BODY), {404}),
        "the metrics of the operator": (whole("/metrics", token, b"", method="GET"), {404}),
        "a path with dots": (whole("/v1/../../etc/passwd", token, BODY), {404}),
        "no path": (whole("*", token, BODY, method="OPTIONS"), {400, 404, 405}),
        "an upgrade": (whole(where, None, b"", "Connection: Upgrade", "Upgrade: websocket"), {401}),
        "an upgrade to HTTP/2": (whole(where, None, b"", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), {401}),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100, {400, 505}),
        "HTTP/0.9": (f"GET {where}\r\n\r\n".encode(), {400, 405}),
        "HTTP/9.9": (head(where, token, version="HTTP/9.9"), {400, 505}),
        "an unknown expectation": (whole(where, token, BODY, "Expect: wonders"), {417}),
        "nonsense": (os.urandom(5000), {400}),
        "lines": (b"\r\n" * 5000, set()),
        "a handshake in a handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500), {400}),
    }
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "X"):
        codes = {405} if method not in ("post", "X", "CONNECT") else {400, 404, 405}
        found[f"the method {method}"] = (whole(where, token, b"", method=method), codes)
    return found


async def test_no_request_that_is_none_of_http_is_taken(operator: Ingesting, place: Place, proof: Proof) -> None:
    token, wrong = place.reporter(), []
    for number, (what, (data, codes)) in enumerate(_requests(path(place), token).items()):
        async with Wire(operator, f"127.0.1.{number}") as wire:
            await wire.send(data)
            answers = await wire.heard(1.5, 1)
        found = statuses(answers)
        # What follows on the connection is not taken for a request of its own.
        if len(found) > 1 or not set(found) <= codes or (codes and not found) or token.encode() in answers:
            wrong.append((what, answers[:500]))
        proof.count("bad requests refused")
    assert not wrong, "\n".join(str(one)[:1500] for one in wrong)
    async with by(operator, token) as reporter:
        await asyncio.sleep(1)
        assert (await reporter.report(place, sample())).status == 200
    assert place.counted() == 1


# How slowly.


async def test_who_is_slow_is_left(operator: Ingesting, place: Place, proof: Proof) -> None:
    token, where = place.reporter(), path(place)
    slow = scaled(40, 8)

    async def drip(wire: Wire, *parts: bytes) -> None:
        """Byte for byte, for ever."""
        for part in parts:
            for i in range(len(part)):
                await wire.send(part[i : i + 1])
                await asyncio.sleep(0.5)

    async def dripping(begin: bytes, rest: bytes, number: int) -> list[int]:
        async with Wire(operator, f"127.0.2.{number}") as wire:
            await wire.send(begin)
            dripping = asyncio.create_task(drip(wire, rest * 1000))
            answers = await wire.heard(35)
            ended = wire.reader.at_eof() or wire.reader.exception() is not None
            dripping.cancel()
            assert ended, f"still there: {begin!r} {rest!r} {answers!r}"
            return statuses(answers)

    async def refusing_answers(number: int) -> list[int]:
        """Asks for ever, and takes no answer."""
        async with Wire(operator, f"127.0.2.{number}", buffer=4096) as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            asking = asyncio.create_task(wire.send(*[head("/", None, method="GET") * 100] * 10_000))
            await asyncio.wait({asking}, timeout=35)
            assert asking.done(), "still waited for"
            return []

    kinds: dict[str, tuple[Any, list[list[int]]]] = {
        "bodies": (lambda n: dripping(head(where, token, "Content-Length: 5000"), b" ", n), [[408]]),
        "chunks": (lambda n: dripping(head(where, token, CHUNKED), b"1\r\n \r\n", n), [[408]]),
        "extensions of a chunk": (lambda n: dripping(head(where, token, CHUNKED) + b"1;", b"a", n), [[408], [400]]),
        "trailers": (lambda n: dripping(head(where, token, CHUNKED) + b"0\r\n", b"a: b\r\n", n), [[408], [400]]),
        "bodies of strangers": (lambda n: dripping(head(where, None, "Content-Length: 5000"), b" ", n), [[401]]),
        "answers not taken": (refusing_answers, [[]]),
    }
    if FULL:
        # These have twenty seconds, the others ten.
        kinds |= {
            "heads": (lambda n: dripping(b"POST / HTTP/1.1\r\n", b"X-A: b\r\n", n), [[]]),
            "first lines": (lambda n: dripping(b"PO", b"S", n), [[], [400]]),
            "nothing said": (lambda n: dripping(b"", b"", n), [[]]),
        }
    waiting = [
        (what, run(number), fine)
        for what, (run, fine) in kinds.items()
        for number in range(1, 3 if run is refusing_answers else slow)
    ]
    honest = asyncio.create_task(_reports_on(operator, place, "honest", "127.0.0.9", scaled(20, 8)))
    ends = await asyncio.gather(*(one for _, one, _ in waiting))
    for (what, _, fine), end in zip(waiting, ends, strict=True):
        assert end in (*fine, [429]), what
        proof.count("slow senders left")
    sent, codes = await honest
    assert set(codes) == {200}
    assert place.counted() == sent


async def _reports_on(operator: Ingesting, place: Place, who: str, address: str, reports: int) -> tuple[int, list[int]]:
    """One report in a second: how many were sent, and what they were answered."""
    codes = []
    async with by(operator, place.reporter(who), address) as reporter:
        for _ in range(reports):
            codes.append((await reporter.report(place, sample())).status)
            await asyncio.sleep(1)
    return len(codes), codes


# By which connection.


def _openssl(operator: Ingesting, *arguments: str, say: bytes = b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{operator.reports}", *arguments]
    done = subprocess.run(command, input=say, capture_output=True, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_only_a_whole_handshake_of_today_is_heard(operator: Ingesting, place: Place, proof: Proof) -> None:
    token = place.reporter()
    for number, said in enumerate((whole(path(place), token, BODY), b"\x16\x03\x01" + os.urandom(2000), b"\0" * 2000)):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", operator.reports, local_addr=(f"127.0.5.{number + 1}", 0)
        )
        writer.write(said)
        with contextlib.suppress(OSError):
            assert b"HTTP/" not in await asyncio.wait_for(reader.read(), 15)
        writer.close()
        proof.count("bad handshakes refused")
    for old in ("-tls1", "-tls1_1"):
        text = await asyncio.to_thread(_openssl, operator, old, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in text, text
        proof.count("bad handshakes refused")
    text = await asyncio.to_thread(_openssl, operator, "-tls1_2", say=b"R\n")
    assert "RENEGOTIATING" in text
    assert "no renegotiation" in text, text
    assert "Cipher is ECDHE" in await asyncio.to_thread(_openssl, operator, "-tls1_2")


async def test_what_was_overheard_cannot_be_said_again(operator: Ingesting, place: Place, proof: Proof) -> None:
    overheard: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", operator.reports)

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: list[bytes]) -> None:
            while data := await source.read(2**16):
                kept.append(data)
                target.write(data)
            target.close()

        await asyncio.gather(carry(reader, back, overheard), carry(there, writer, []), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Reporter(port, operator.bundle, place.reporter()) as reporter:
            assert (await reporter.report(place, sample())).status == 200
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.reports)
        writer.write(b"".join(overheard))
        with contextlib.suppress(OSError):
            await asyncio.wait_for(reader.read(), 15)
        writer.close()
        proof.count("connections replayed")
    assert place.counted() == 1


# How much.


class Flood:
    """Attackers for some seconds; what they were answered is counted."""

    def __init__(self, operator: Ingesting, place: Place, seconds: float) -> None:
        self._operator = operator
        self._place = place
        self._until = time.monotonic() + seconds
        self.answers: Counter[int] = Counter()
        self.asked = 0
        self.refused = 0
        self.descriptors = 0

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until

    async def ask(self, address: str, token: str | None, body: bytes = BODY, at_once: int = 100) -> None:
        """Many requests at once on a connection, again and again."""
        while self._goes_on():
            one = token or base64.urlsafe_b64encode(os.urandom(300)).decode()
            try:
                async with asyncio.timeout(10), Wire(self._operator, address) as wire:
                    self.asked += at_once
                    sending = asyncio.create_task(wire.send(whole(path(self._place), one, body) * at_once))
                    self.answers.update(statuses(await wire.heard(5, at_once)))
                    sending.cancel()
            except (OSError, TimeoutError):
                self.refused += 1
                await asyncio.sleep(0.02)

    async def connect(self, address: str) -> None:
        """Connections on which nothing is ever said."""
        held: list[asyncio.StreamWriter] = []
        while self._goes_on():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._operator.reports, local_addr=(address, 0))
                held.append(writer)
            except OSError:
                self.refused += 1
            await asyncio.sleep(0.002)
            if len(held) > 1000:
                held.pop(0).close()
        for writer in held:
            writer.close()

    async def report(self, address: str, tokens: list[str], names: list[str]) -> None:
        """As much as many accounts may, to as many deployments as there are."""
        body = json.dumps({"samples": [sample()] * 1000}).encode()
        number = 0

        async def one(reporter: Reporter, name: str) -> None:
            try:
                self.answers[(await reporter.send(path(self._place, name), body)).status] += 1
            except OSError:
                self.refused += 1

        reporters = [by(self._operator, token, address) for token in tokens]
        async with asyncio.TaskGroup() as group:
            while self._goes_on():
                for reporter in reporters:
                    number += 1
                    self.asked += 1
                    group.create_task(one(reporter, names[number % len(names)]))
                await asyncio.sleep(0.1)
        for reporter in reporters:
            await reporter.__aexit__()

    async def watch(self) -> None:
        while self._goes_on():
            self.descriptors = max(self.descriptors, self._operator.descriptors())
            await asyncio.sleep(0.1)


async def test_a_flood_costs_no_other_sender(operator: Ingesting, place: Place, proof: Proof) -> None:
    seconds = scaled(90, 9)
    names = [f"model-{number}" for number in range(60)]
    for name in names:
        place.deploy(name)
    attacker = place.reporter("attacker")
    greedy = [place.reporter(f"greedy-{number}") for number in range(5)]
    neighbour, others = "127.0.3.1", [Place(place.server) for _ in range(3)]
    for other in others:
        other.deploy()
    homes = [(others[0], neighbour), (others[1], "127.0.4.1"), (others[2], "127.0.4.2")]
    # The neighbour, too, is known: behind one address, strangers and who was good before are told apart.
    honest = [asyncio.create_task(_reports_on(operator, home, "honest", address, seconds)) for home, address in homes]
    await asyncio.sleep(1)
    flood = Flood(operator, place, seconds)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(flood.ask("127.0.3.2", attacker))
            group.create_task(flood.ask(neighbour, None))
        for _ in range(10):
            group.create_task(flood.ask("127.0.3.3", attacker, b"[" * 250_000, 4))
        for number in range(4):
            group.create_task(flood.connect(f"127.0.3.{number + 4}"))
        group.create_task(flood.report("127.0.3.8", greedy, names))
        group.create_task(flood.watch())
    results = await asyncio.gather(*honest)
    for (home, _), (sent, codes) in zip(homes, results, strict=True):
        assert set(codes) == {200}, f"{tally(codes)}; the flood: {flood.answers}"
        assert home.counted() == sent
        proof.count("honest reports in a flood", sent)
    assert flood.asked > 10_000
    assert set(flood.answers) <= {200, 400, 401, 403, 429, 503}, flood.answers
    # Each connection is a descriptor; the operator's own are a few dozen.
    assert flood.descriptors < 512 + 150
    proof.count("requests of floods", flood.asked)
    proof.count("floods answered", flood.answers.total())
    proof.count("connections refused", flood.refused)
    proof.count("MiB at most in a flood", operator.memory())


async def test_ten_thousand_at_once_are_bounded(operator: Ingesting, place: Place, proof: Proof) -> None:
    token = place.reporter()
    requests = scaled(10_000, 2000)
    answers: Counter[int] = Counter()
    turned_away = 0

    async def ask(number: int) -> None:
        nonlocal turned_away
        try:
            async with asyncio.timeout(60), Wire(operator, f"127.0.{6 + number // 200}.{number % 200 + 1}") as wire:
                await wire.send(whole(path(place), token, BODY))
                answers.update(statuses(await wire.heard(30, 1)) or [0])
        except (OSError, TimeoutError):
            turned_away += 1

    await asyncio.gather(*(ask(number) for number in range(requests)))
    assert set(answers) <= {0, 200, 429}, answers
    accepted = answers[200]
    assert accepted
    assert place.counted() >= accepted
    assert answers.total() + turned_away == requests
    # What is left are the operator's own connections to the API server, at most 64.
    await until(lambda: operator.descriptors() < 100, 40)
    proof.count("requests at once", requests)
