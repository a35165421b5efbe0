"""What counts as a bearer token."""

import pytest

from perennial.ingest.auth import bearer


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc.def-ghi_jkl", "abc.def-ghi_jkl"),
        ("bearer  abc==", "abc=="),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer a b", None),
        ("Bearer tökén", None),
        ("Bearer " + "a" * 9000, None),
        ("", None),
        (None, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_token_of_a_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
