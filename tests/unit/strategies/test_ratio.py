"""The ratio of pods that comes nearest to a weight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.strategies.ratio import Split, split
from perennial.strategies.step import Limits


@pytest.mark.parametrize(
    ("weight", "limits", "expected"),
    [
        (10, Limits(10, 1, 0), Split(1, 9)),
        (10, Limits(3, 1, 0), Split(1, 3)),
        (50, Limits(3, 1, 0), Split(2, 2)),
        (50, Limits(1, 1, 0), Split(1, 1)),
        (99, Limits(3, 1, 0), Split(3, 1)),
        (33, Limits(10, 3, 0), Split(4, 8)),
        (10, Limits(3, 7, 0), Split(1, 9)),
        (25, Limits(4, 4, 4), Split(1, 3)),
        (50, Limits(4, 0, 1), Split(2, 2)),
        (0, Limits(3, 1, 0), Split(1, 3)),
        (0, Limits(3, 0, 1), Split(1, 2)),
        (0, Limits(1, 0, 1), None),
        (10, Limits(1, 0, 1), None),
    ],
)
def test_split(weight: int, limits: Limits, expected: Split | None) -> None:
    assert split(weight, limits) == expected


LIMITS = st.builds(Limits, st.integers(1, 40), st.integers(0, 40), st.integers(0, 5)).filter(
    lambda one: one.unavailable <= one.replicas and (one.surge or one.unavailable)
)


@given(st.integers(1, 99), LIMITS)
def test_no_other_ratio_is_nearer(weight: int, limits: Limits) -> None:
    found = split(weight, limits)
    possible = [
        Split(incoming, total - incoming)
        for total in range(max(2, limits.needed), limits.most + 1)
        for incoming in range(1, total)
    ]
    if found is None:
        assert not possible
        return
    assert found in possible
    best = min(abs(one.weight - weight) for one in possible)
    assert abs(found.weight - weight) == pytest.approx(best)
