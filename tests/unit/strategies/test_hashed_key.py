"""A share of the keys: exactly so many of the endings, the same ones in every larger share."""

import re

from hypothesis import given
from hypothesis import strategies as st

from perennial.strategies.hashed_key import pattern, percent_of

percents = st.integers(1, 99)
before = st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]))
ENDINGS = [f"{number:02x}" for number in range(256)]


def those_in(percent: int, key: str = "") -> set[str]:
    """The endings that are in a share."""
    return {ending for ending in ENDINGS if re.search(pattern(percent), key + ending)}


@given(percents, before)
def test_so_many_of_all_endings_are_in_it_whatever_stands_before(percent: int, key: str) -> None:
    assert len(those_in(percent, key)) == round(256 * percent / 100)


@given(percents, percents)
def test_who_is_in_a_share_is_in_every_larger_one(one: int, other: int) -> None:
    assert those_in(min(one, other)) <= those_in(max(one, other))


@given(percents, before, st.sampled_from(ENDINGS))
def test_small_and_capital_letters_are_the_same(percent: int, key: str, ending: str) -> None:
    mixed = {ending, ending.upper(), ending[0].upper() + ending[1], ending[0] + ending[1].upper()}
    assert len({bool(re.search(pattern(percent), key + one)) for one in mixed}) == 1


@given(percents, before)
def test_gateways_that_compare_the_whole_value_find_the_same(percent: int, value: str) -> None:
    for one in (value, *(value + ending for ending in ENDINGS)):
        assert bool(re.search(pattern(percent), one)) == bool(re.fullmatch(pattern(percent), one))


@given(percents, before)
def test_what_is_no_key_is_in_no_share(percent: int, value: str) -> None:
    for one in (value + "g0", value + "0g", value + "0-", "", "0"):
        assert not re.search(pattern(percent), one)


@given(percents)
def test_a_pattern_is_short_and_in_words_that_every_dialect_has(percent: int) -> None:
    assert re.fullmatch(r"\^\.\*\(((\[[0-9a-fA-F-]+\]|[0-9])+\|?)+\)\$", pattern(percent))
    assert len(pattern(percent)) <= 64


@given(percents)
def test_the_percentage_can_be_told_from_the_pattern(percent: int) -> None:
    assert percent_of(pattern(percent)) == percent
    assert percent_of(pattern(percent) + "$") is None
