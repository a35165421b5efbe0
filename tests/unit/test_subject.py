"""What others wrote, read as far as it can be."""

from datetime import UTC, datetime

import pytest

from perennial.api.base import parse_time, public_uri, read_count, read_time
from perennial.api.retrainpolicy import RetrainPolicyStatus
from perennial.api.trainingjob import TrainingJobSpec, TrainingJobStatus
from perennial.subject import read_json, read_spec, read_status


def test_of_a_status_what_cannot_be_read_is_absent_and_the_rest_is_kept() -> None:
    good = {"pod": "a", "outcome": "Failed"}
    status = read_status(
        TrainingJobStatus,
        {
            "phase": "Running",
            "attempt": -1,
            "startTime": "0000-01-01T00:00:00Z",
            "completionTime": "9999-12-31T23:59:59-23:59",
            "attempts": [good, {"pod": "b"}, good],
            "result": {"uri": "no address"},
            "metrics": {"no name!": 1},
        },
    )
    assert (status.phase, status.attempt, status.start_time, status.result) == ("Running", None, None, None)
    assert [one.pod for one in status.attempts] == ["a", "a"]
    assert status.completion_time == datetime(2200, 1, 1, tzinfo=UTC)
    assert not status.metrics


def test_a_list_that_is_too_long_is_absent() -> None:
    skip = {"time": "2026-11-21T12:00:00Z", "trigger": "t", "reason": "R"}
    assert read_status(RetrainPolicyStatus, {"skipped": [skip] * 21, "lastRun": 3}) == RetrainPolicyStatus(last_run=3)


def test_a_spec_that_is_nested_too_deep_is_told_of() -> None:
    value: object = 1
    for _ in range(60):
        value = [value]
    spec, words = read_spec(TrainingJobSpec, {"model": {"name": "churn"}, "parameters": {"a": value}})
    assert spec is None
    assert "nested deeper" in words


@pytest.mark.parametrize("text", ["", "{", "NaN", "[" * 100_000, '"\\ud800"'])
def test_a_note_that_is_no_json_says_nothing(text: str) -> None:
    assert read_json(text) is None


def test_times_and_counts_of_others() -> None:
    assert parse_time("0001-01-01T00:00:00+14:00") == datetime(1970, 1, 1, tzinfo=UTC)
    assert read_time("0000-01-01T00:00:00Z") is read_time(None) is read_time("soon") is None
    assert [read_count(text) for text in ("7", "2147483647", "2147483648", "-1", "\u0663", "", None)] == [
        7, 2147483647, None, None, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://user:word@host:8/a/b@c?signature=x#y", "https://host:8/a/b@c"),
        ("http://host?x", "http://host"),
        ("http://[broken?x", "http://[broken"),
        ("s3://bucket/a?b", "s3://bucket/a?b"),
    ],
)
def test_an_address_is_told_without_what_may_be_secret(uri: str, told: str) -> None:
    assert public_uri(uri) == told
