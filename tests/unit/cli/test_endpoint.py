"""What the person is told of an answer that is no yes."""

import pytest

from perennial.cli.endpoint import refusal

NAMED = b'{"error": "samples[0].timestamp: is more than 30 days old", "samples": []}'
BUSY = b'{"error": "the Kubernetes API does not answer now"}'


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "words"),
    [
        (400, NAMED, None, "refused (400): samples[0].timestamp: is more than 30 days old"),
        (503, BUSY, "5", "refused (503): the Kubernetes API does not answer now; report again in 5 s"),
        (404, b"<html>", None, "a.dev answers 404, and not as Perennial's ingest endpoint does: is --url right?"),
        (502, b"[]", None, "a.dev answers 502, and not as Perennial's ingest endpoint does: is --url right?"),
    ],
)
def test_a_refusal_has_the_endpoints_words(status: int, body: bytes, retry_after: str | None, words: str) -> None:
    assert refusal(status, body, retry_after, "a.dev") == words
