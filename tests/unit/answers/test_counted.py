"""By how much counters of some pods grew: since the look before, or in a window."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.answers.counted import Counted, Totals

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, TURN = timedelta(hours=1), timedelta(seconds=30)


def looked(counted: Counted, seconds: float, **pages: tuple[float, float]) -> tuple[float, float]:
    """What is told at a time, when the pages say this."""
    return tuple(counted.look(NOW + timedelta(seconds=seconds), {uid: Totals(*one) for uid, one in pages.items()}))


def test_without_a_window_it_is_since_the_look_before() -> None:
    counted = Counted(None)
    assert looked(counted, 0, a=(50, 150)) == (0, 0)
    assert looked(counted, 86_400, a=(60, 250)) == (10, 100)
    assert looked(counted, 86_430, a=(60, 250)) == (0, 0)
    assert counted.since is None


def test_a_window_adds_up_and_forgets() -> None:
    counted = Counted(timedelta(minutes=1))
    found = [looked(counted, 30 * turn, a=(turn, 10 * turn)) for turn in range(5)]
    assert found == [(0, 0), (1, 10), (2, 20), (2, 20), (2, 20)]
    assert counted.since == NOW


def test_a_container_that_was_started_again_takes_nothing_back() -> None:
    counted = Counted(HOUR)
    looked(counted, 0, a=(50, 150))
    looked(counted, 30, a=(60, 250))
    assert looked(counted, 60, a=(1, 7)) == (11, 107)


def test_what_a_pod_that_is_gone_had_counted_stays_and_one_that_comes_begins() -> None:
    counted = Counted(HOUR)
    looked(counted, 0, a=(0, 0), b=(0, 0))
    looked(counted, 30, a=(1, 10), b=(1, 10))
    assert looked(counted, 60, b=(1, 20), c=(500, 500)) == (2, 30)
    assert looked(counted, 90, a=(2, 15), b=(1, 20), c=(501, 510)) == (4, 45), "it was only not ready for a while"


def test_after_a_window_without_a_look_it_begins_anew() -> None:
    counted = Counted(HOUR)
    looked(counted, 0, a=(0, 0))
    looked(counted, 30, a=(1, 10))
    assert looked(counted, 3700, a=(500, 900)) == (0, 0), "nobody knows which of it was in the last hour"
    assert counted.since == NOW + timedelta(seconds=3700)


def test_a_pod_that_could_not_be_read_for_a_window_begins_anew() -> None:
    counted = Counted(timedelta(minutes=1))
    for turn in range(4):
        looked(counted, 30 * turn, a=(0, 0), **({"b": (0.0, 0.0)} if turn < 2 else {}))
    assert looked(counted, 120, a=(0, 0), b=(500, 900)) == (0, 0)
    assert looked(counted, 150, a=(0, 0), b=(501, 910)) == (1, 10)


def test_no_more_pods_are_remembered_than_may_come_again() -> None:
    counted = Counted(HOUR)
    looked(counted, 0, first=(0, 0))
    for pod in range(64):
        looked(counted, 1 + pod, **{f"pod-{pod}": (0.0, 0.0)})
    assert looked(counted, 70, **{"first": (5, 5), "pod-63": (1, 1)}) == (1, 1)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60),
    st.sampled_from([timedelta(minutes=2), timedelta(minutes=10), HOUR]),
)
def test_a_window_has_what_was_counted_in_it(looks: list[tuple[int, int, int]], window: timedelta) -> None:
    """Up to a thirtieth of it, and to the turn in which it began."""
    counted, time, said, told = Counted(window), NOW, Totals(0, 0), Totals(0, 0)
    every: list[tuple[datetime, Totals]] = []
    for turns, bad, good in looks:
        if every:
            time += turns * TURN
            grown = Totals(bad, bad + good)
            said = said.plus(grown)
            every.append((time, grown))
        else:
            every.append((time, Totals(0, 0)))
        told = counted.look(time, {"a": said})
    part = window / 30
    wide = sum(one.whole for at, one in every if at > time - window - part)
    narrow = sum(one.whole for at, one in every if at > time - window + part)
    if counted.since == NOW:
        assert narrow <= told.whole <= wide
    assert told.part <= told.whole <= said.whole
    assert counted.since is not None


@pytest.mark.parametrize("late", [0, 10])
def test_looks_that_are_answered_out_of_turn_are_both_counted(late: int) -> None:
    counted = Counted(timedelta(minutes=1))
    looked(counted, 0, a=(0, 0))
    looked(counted, 20, a=(1, 10))
    assert looked(counted, late, a=(2, 20)) == (2, 20)
