"""That an object stalls is news once."""

import pytest

from perennial.plan import Body, Event, news


def stalled(reason: str, message: str = "no such preset") -> list[Body]:
    return [{"type": "Stalled", "status": "True", "reason": reason, "message": message}]


def test_a_stall_is_told() -> None:
    assert list(news([], stalled("NoRuntime"))) == [Event("Warning", "NoRuntime", "no such preset")]


def test_a_stall_for_another_reason_is_told() -> None:
    assert [event.reason for event in news(stalled("NoRuntime"), stalled("NameTaken"))] == ["NameTaken"]


@pytest.mark.parametrize("after", [[], stalled("NoRuntime", "in other words")], ids=["over", "the same"])
def test_what_was_told_is_no_news(after: list[Body]) -> None:
    assert not list(news(stalled("NoRuntime"), after))
