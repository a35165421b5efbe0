"""Requests are told by what they carry, whether a gateway compares the whole value of a header or searches in it."""

import re

import pytest

from perennial.strategies.matching import CookieMatch, RequestMatch

GROUP = RequestMatch(cookie=CookieMatch(name="group", value="b.1"))


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("group=b.1", True),
        ("a=1; group=b.1", True),
        ("group=b.1; a=1", True),
        ("a=1;group=b.1;c=2", True),
        ("group=b.12", False),
        ("group=bx1", False),
        ("othergroup=b.1", False),
        ("a=group=b.1", False),
        ("", False),
    ],
)
def test_a_cookie_is_found_among_others(sent: str, found: bool) -> None:
    (condition,) = GROUP.conditions()
    assert bool(re.search(condition["value"], sent)) == found
    assert bool(re.fullmatch(condition["value"], sent)) == found
