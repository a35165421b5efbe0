"""Which timestamps are refused, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest

from perennial.metricseries.sample import Problem, Sample, mistimed

NOW = datetime(2026, 11, 21, 10, 7, 30, tzinfo=UTC)


def of_age(age: timedelta) -> Sample:
    return Sample("accuracy", 0.9, (NOW - age).timestamp(), "churn-1")


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(minutes=-6), "6 minutes ahead: more than 5 minutes in the future. Unix timestamps are in seconds"),
        (timedelta(days=45), "45 days old: samples are kept for 30 days"),
    ],
    ids=str,
)
def test_samples_out_of_what_is_kept_are_named(age: timedelta, words: str) -> None:
    assert list(mistimed([of_age(timedelta()), of_age(age)], NOW)) == [Problem(1, "timestamp", words)]


@pytest.mark.parametrize("age", [timedelta(minutes=-5), timedelta(), timedelta(days=30)], ids=str)
def test_samples_within_what_is_kept_are_not(age: timedelta) -> None:
    assert not list(mistimed([of_age(age)], NOW))


def test_milliseconds_are_recognised_as_far_ahead() -> None:
    (problem,) = mistimed([Sample("accuracy", 0.9, NOW.timestamp() * 1000, "churn-1")], NOW)
    assert problem.message.endswith("Unix timestamps are in seconds")
