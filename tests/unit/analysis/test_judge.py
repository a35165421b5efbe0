"""The verdict on a metric: a person's, given the same numbers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.analysis import AnalysisMetric, AnalysisStatus, Measurement, Samples, Verdict
from perennial.analysis.judge import gravest, judge, looked, together
from perennial.questions import Sampled

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PASS, FAIL, UNSURE, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR


def of(mean: float, count: int, low: float = 0, high: float = 1) -> Sampled:
    return Sampled(count, mean, low, high)


ACCURACY = {"name": "accuracy", "noWorseThanStableBy": 0.02}
LATENCY = {"name": "latency", "noWorseThanStableBy": 10, "lowerIsBetter": True}


@pytest.mark.parametrize(
    ("metric", "new", "stable", "verdict", "words"),
    [
        pytest.param(ACCURACY, None, None, UNSURE, "0 of at least 30 samples of the new revision", id="no data"),
        pytest.param(
            ACCURACY, of(0.9, 500), of(0.9, 5), UNSURE, "5 of at least 30 samples of the stable one", id="one"
        ),
        pytest.param(ACCURACY, of(0.9, 29), of(0.9, 500), UNSURE, "29 of at least 30", id="too few"),
        pytest.param(ACCURACY, of(0.9, 30), of(0.9, 30), UNSURE, "too few to be sure", id="thirty alike say little"),
        pytest.param(ACCURACY, of(0.9, 9_000), of(0.9, 90_000), PASS, "0.9, 0.9 of the stable one", id="alike"),
        pytest.param(ACCURACY, of(0.95, 3_000), of(0.9, 9_000), PASS, "at most 0.02 worse", id="better"),
        pytest.param(ACCURACY, of(0.7, 100), of(0.9, 900), FAIL, "0.7, 0.9 of the stable one", id="much worse"),
        pytest.param(ACCURACY, of(0.885, 500), of(0.9, 900), UNSURE, "too few to be sure", id="a little worse"),
        pytest.param(LATENCY, of(95, 1_000, 50, 200), of(80, 9_000, 50, 200), FAIL, "95, 80 of the", id="slower"),
        pytest.param(LATENCY, of(81, 9_000, 50, 200), of(80, 9_000, 50, 200), PASS, "81, 80 of the", id="as fast"),
        pytest.param(
            {"name": "errors", "max": 0.01}, of(0.05, 1_000), None, FAIL, "0.05, at most 0.01 is asked for", id="errs"
        ),
        pytest.param({"name": "errors", "max": 0.01}, of(0, 1_000), None, PASS, "0, at most 0.01", id="errs never"),
        pytest.param({"name": "errors", "max": 0.01}, of(0, 40), None, UNSURE, "too few", id="not seen to err yet"),
        pytest.param({"name": "score", "min": 0.8}, of(0.9, 1_000), None, PASS, "0.9, at least 0.8", id="enough"),
        pytest.param({"name": "score", "min": 0.8}, of(0.7, 1_000), None, FAIL, "0.7, at least 0.8", id="not enough"),
        pytest.param(
            {"name": "score", "min": 0.8, "max": 0.85}, of(0.9, 5_000), None, FAIL, "at most 0.85", id="the gravest"
        ),
    ],
)
def test_verdict(
    metric: dict[str, Any], new: Sampled | None, stable: Sampled | None, verdict: Verdict, words: str
) -> None:
    found = judge(AnalysisMetric.model_validate(metric), new, stable, 0.95)
    assert (found.verdict, words in found.message) == (verdict, True), found


def test_the_gravest_of_all_is_what_a_look_says() -> None:
    assert gravest([PASS, FAIL, UNSURE]) is FAIL
    assert gravest([PASS, UNSURE]) is UNSURE
    assert gravest([ERROR, UNSURE]) is ERROR
    assert gravest([ERROR, FAIL]) is FAIL
    assert gravest([PASS]) is PASS


def test_failures_add_up_and_looks_without_an_answer_count_in_a_row() -> None:
    record = AnalysisStatus(start_time=NOW)
    counts = []
    for verdict in (UNSURE, UNSURE, FAIL, ERROR, ERROR, UNSURE, PASS, FAIL):
        record = looked(record, [Measurement(name="accuracy", verdict=verdict)])
        counts.append((record.failures, record.inconclusive, record.errors))
    assert counts == [(0, 1, 0), (0, 2, 0), (1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 0, 0), (2, 0, 0)]


def test_what_came_since_is_weighed_with_what_was_known() -> None:
    known = Samples(count=30, mean=0.1, minimum=0, maximum=0.5)
    assert together(known, of(0.4, 10, 0.2, 0.9)) == Sampled(40, pytest.approx(0.175), 0, 0.9)
    assert together(known, None) == Sampled(30, 0.1, 0, 0.5)
    assert together(None, of(0.4, 10)) == of(0.4, 10)
    assert together(None, None) is None
