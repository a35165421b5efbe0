"""Reports that no sender may get away with, and requests that are none of HTTP, each with what it is answered."""

import json
import os
import time
from typing import Any

from tests.apiserver.reporting import sample
from tests.prove.ingesting import head, whole

BODY = json.dumps({"samples": [sample()]}).encode()
CHUNKED = "Transfer-Encoding: chunked"


def reports() -> dict[str, tuple[bytes, int]]:
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


def requests(where: str, token: str) -> dict[str, tuple[bytes, set[int]]]:
    """Requests, and with which codes each may be answered; without a code it is for the other side to hang up."""
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
