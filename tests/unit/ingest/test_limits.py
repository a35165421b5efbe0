"""How often somebody may ask."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from perennial.ingest.limits import RateLimit, has_room


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(pauses=st.lists(st.floats(0, 0.4), min_size=1, max_size=200))
def test_never_more_than_so_many_in_a_second(pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(3, clock=clock)
    passed = []
    for pause in pauses:
        clock.now += pause
        if not limit.wait("a"):
            passed.append(clock.now)
    assert all(later - first >= 1 for first, later in zip(passed, passed[3:], strict=False))


def test_who_waits_as_told_may_go_on() -> None:
    clock = Clock()
    limit = RateLimit(2, clock=clock)
    for _ in range(10):
        while wait := limit.wait("a"):
            clock.now += wait
    assert clock.now - 100 < 4.001


def test_senders_do_not_disturb_each_other() -> None:
    limit = RateLimit(1, clock=Clock())
    assert [limit.wait(sender) > 0 for sender in "abab"] == [False, False, True, True]


def test_only_the_last_senders_are_remembered() -> None:
    limit = RateLimit(1, size=2, clock=Clock())
    assert [limit.wait(sender) > 0 for sender in itertools.chain("abc", "ca")] == [False, False, False, True, False]


def test_one_alone_may_take_half_of_a_room() -> None:
    assert has_room(1, 49, 49, 100)
    assert not has_room(1, 50, 50, 100)
