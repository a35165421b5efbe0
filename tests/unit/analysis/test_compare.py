"""How sure it is that one mean is above another."""

import random
from math import sqrt
from statistics import NormalDist, fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.analysis.compare import Bounds, difference, mean
from perennial.questions import Sampled


def sampled(values: list[float]) -> Sampled:
    return Sampled(len(values), fmean(values), min(values), max(values))


def right(count: int, of: int) -> Sampled:
    """Of so many answers so many were right."""
    return sampled([1.0] * count + [0.0] * (of - count))


def wald(group: Sampled, confidence: float) -> Bounds:
    """The textbook's interval of a proportion, after one success and one failure more."""
    count = group.count + 2
    ratio = (group.mean * group.count + 1) / count
    off = NormalDist().inv_cdf(confidence) * sqrt(ratio * (1 - ratio) / count)
    return Bounds(ratio - off, ratio + off)


@pytest.mark.parametrize(("hits", "of"), [(0, 10), (10, 10), (1, 10), (90, 100), (999, 1000)])
def test_a_ratio_is_bounded_as_the_textbook_says(hits: int, of: int) -> None:
    found, expected = mean(right(hits, of), 0.95), wald(right(hits, of), 0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_few_that_are_all_alike_say_little() -> None:
    assert mean(right(10, 10), 0.95).low < 0.82
    assert difference(right(10, 10), right(10, 10), 0.95).high > 0.15


@pytest.mark.parametrize(
    ("first", "second", "sure"),
    [
        (right(95, 100), right(90, 100), False),
        (right(9_500, 10_000), right(9_000, 10_000), True),
        (right(10, 10), right(5, 10), True),
        (right(8, 10), right(5, 10), False),
    ],
)
def test_a_difference_is_sure_with_enough_samples(first: Sampled, second: Sampled, sure: bool) -> None:
    assert (difference(first, second, 0.95).low > 0) is sure
    assert (difference(second, first, 0.95).high < 0) is sure


VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(VALUES, st.floats(0.5, 0.999))
def test_never_surer_than_the_variance_of_the_samples_allows(values: list[float], confidence: float) -> None:
    bounds = mean(sampled(values), confidence)
    off = NormalDist().inv_cdf(confidence) * sqrt(pvariance(values) / (len(values) + 2))
    assert bounds.high - bounds.low >= 2 * off * (1 - 1e-6) - 1e-6


@given(VALUES, VALUES)
def test_one_way_is_the_other_turned_round(one: list[float], other: list[float]) -> None:
    there, back = difference(sampled(one), sampled(other), 0.9), difference(sampled(other), sampled(one), 0.9)
    assert (there.low, there.high) == (pytest.approx(-back.high, abs=1e-6), pytest.approx(-back.low, abs=1e-6))


@pytest.mark.parametrize(("truth", "count"), [(0.5, 30), (0.9, 30), (0.95, 100), (0.99, 300)])
def test_it_is_right_as_often_as_it_says(truth: float, count: int) -> None:
    """Two groups that are alike: a difference is claimed in no more than one case of twenty, on either side."""
    chance = random.Random(7)

    def drawn() -> Sampled:
        return right(sum(chance.random() < truth for _ in range(count)), count)

    claimed = sum(difference(drawn(), drawn(), 0.95).low > 0 for _ in range(2_000))
    assert claimed / 2_000 <= 0.06
