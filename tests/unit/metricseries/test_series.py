"""Folding and summing up, against a plain list of all samples."""

import json
import random
from datetime import UTC, datetime, timedelta
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.metricseries import MAX_BYTES, MAX_SERIES, MetricSeriesStatus
from perennial.metricseries.series import Full, Sample, Summary, fold, summarise
from perennial.plan import Body

NOW = datetime(2026, 11, 21, 10, 7, 30, tzinfo=UTC)
MINUTE, QUARTER, DAY = timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)
AGES = st.one_of(st.integers(-240, 3700), st.integers(0, 13 * 3600), st.integers(0, 29 * 86_400))
VALUES = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.9g}"))
REPORTS = st.lists(st.tuples(AGES, VALUES, st.integers(1, 1000)), min_size=1, max_size=12)
# Each report goes in on its own, so many seconds after the one before.
HISTORIES = st.lists(st.tuples(st.integers(0, 40_000), REPORTS), min_size=1, max_size=4)


def sample(
    value: float, age: float = 0, *, count: int = 1, name: str = "accuracy", revision: str = "churn-1"
) -> Sample:
    return Sample(name, value, (NOW - timedelta(seconds=age)).timestamp(), revision, count)


def folded(*samples: Sample, body: Body | None = None, now: datetime = NOW) -> Body:
    return fold(body, samples, now)


def over(body: Body, window: timedelta, end: datetime = NOW) -> Summary | None:
    return summarise(body, "accuracy", "churn-1", end - window, end)


def floor(moment: datetime, step: timedelta) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % step.total_seconds())


def lines(body: Body) -> dict[str, int]:
    return {tier: len(body["status"]["series"][0].get(tier, ())) for tier in ("minutes", "quarters", "days")}


def played(history: list[tuple[int, list[tuple[int, float, int]]]]) -> tuple[Body, datetime, list[Sample]]:
    """The record after all reports, its time, and what a list of samples would hold."""
    body: Body | None = None
    now, all_samples = NOW, list[Sample]()
    for later, report in history:
        now += timedelta(seconds=later)
        samples = [Sample("accuracy", value, now.timestamp() - age, "churn-1", count) for age, value, count in report]
        body = fold(body, samples, now)
        all_samples += [Sample(s.name, s.value, min(s.time, now.timestamp()), s.revision, s.count) for s in samples]
    assert body
    return body, now, all_samples


def same(summary: Summary | None, samples: list[Sample]) -> None:
    """That a summary says what the list says."""
    if not samples:
        assert summary is None
        return
    assert summary
    total = sum(one.value * one.count for one in samples)
    scale = sum(abs(one.value) * one.count for one in samples)
    assert summary.count == sum(one.count for one in samples)
    assert isclose(summary.sum, total, rel_tol=1e-9, abs_tol=1e-9 * scale)
    assert summary.minimum == min(one.value for one in samples)
    assert summary.maximum == max(one.value for one in samples)
    latest = max(int(one.time) for one in samples)
    assert summary.last_time.timestamp() == latest
    assert summary.last in {one.value for one in samples if int(one.time) == latest}
    assert summary.first_time.timestamp() <= min(one.time for one in samples)


@pytest.mark.parametrize(
    ("window", "step"),
    [
        (timedelta(hours=1), MINUTE),
        (timedelta(minutes=7), MINUTE),
        (timedelta(hours=12), QUARTER),
        (timedelta(hours=2), QUARTER),
        (timedelta(days=29), DAY),
        (timedelta(days=2), DAY),
    ],
    ids=str,
)
@given(history=HISTORIES)
def test_an_aligned_window_says_what_a_list_of_its_samples_says(
    window: timedelta, step: timedelta, history: list[tuple[int, list[tuple[int, float, int]]]]
) -> None:
    body, now, samples = played(history)
    start = floor(now - window, step)
    summary = summarise(body, "accuracy", "churn-1", start, now)
    same(summary, [one for one in samples if one.time >= start.timestamp()])


@given(history=HISTORIES, seconds=st.integers(1, 29 * 86_400))
def test_any_window_counts_no_sample_before_it_and_all_but_those_at_its_edge(
    history: list[tuple[int, list[tuple[int, float, int]]]], seconds: int
) -> None:
    body, now, samples = played(history)
    summary = over(body, timedelta(seconds=seconds), now)
    edge = MINUTE if seconds <= 3600 else QUARTER if seconds <= 12 * 3600 else DAY
    start = now.timestamp() - seconds
    most = sum(one.count for one in samples if one.time >= start)
    least = sum(one.count for one in samples if one.time >= start + edge.total_seconds())
    assert least <= (summary.count if summary else 0) <= most


@given(history=HISTORIES)
def test_a_record_is_what_its_schema_says_and_reads_back_as_it_was(
    history: list[tuple[int, list[tuple[int, float, int]]]],
) -> None:
    body, now, _ = played(history)
    MetricSeriesStatus.model_validate(json.loads(json.dumps(body["status"])))
    assert fold(body, [], now) == body


@given(report=REPORTS, seed=st.integers(0, 1000))
def test_the_order_of_the_reports_does_not_matter(report: list[tuple[int, float, int]], seed: int) -> None:
    samples = [sample(value, max(age, 0), count=count) for age, value, count in report]
    body: Body | None = None
    for one in random.Random(seed).sample(samples, len(samples)):
        body = folded(one, body=body)
    assert body
    same(over(body, timedelta(days=30)), samples)


def test_a_sample_grows_coarser_with_age_and_is_forgotten() -> None:
    body = folded(sample(0.9))
    seen = []
    for age in (
        timedelta(),
        timedelta(minutes=59),
        timedelta(hours=2),
        timedelta(hours=11),
        timedelta(hours=13),
        29 * DAY,
    ):
        body = folded(body=body, now=NOW + age)
        seen.append([tier for tier, count in lines(body).items() if count])
    assert seen == [["minutes"], ["minutes"], ["quarters"], ["quarters"], ["days"], ["days"]]
    assert folded(body=body, now=NOW + 32 * DAY)["status"]["series"] == []


def test_a_record_can_be_read_by_people() -> None:
    body = folded(sample(0.92, 10), sample(0.9, count=3))
    assert body["status"]["series"] == [
        {
            "metric": "accuracy",
            "revision": "churn-1",
            "updated": "2026-11-21T10:07:30Z",
            "minutes": ["2026-11-21T10:07Z 4 3.62 0.9 0.92 0.9 30"],
        }
    ]


def test_the_last_value_is_the_one_measured_last_not_the_one_reported_last() -> None:
    body = folded(sample(0.5, 60), body=folded(sample(0.9)))
    summary = over(body, timedelta(hours=1))
    assert summary
    assert (summary.last, summary.last_time) == (0.9, NOW)


def test_within_a_report_the_later_of_the_same_second_is_the_last() -> None:
    summary = over(folded(sample(0.9, 0.1), sample(0.8, 0.3)), timedelta(hours=1))
    assert summary
    assert summary.last == 0.9


def test_a_sample_of_a_clock_that_is_ahead_counts_at_once() -> None:
    summary = over(folded(sample(0.9, -200)), timedelta(minutes=5))
    assert summary
    assert summary.last_time == NOW


def test_series_are_apart_by_metric_and_revision() -> None:
    body = folded(sample(1), sample(2, name="loss"), sample(3, revision="churn-2"))
    sums = [
        summary.sum
        for metric, revision in [("accuracy", "churn-1"), ("loss", "churn-1"), ("accuracy", "churn-2")]
        if (summary := summarise(body, metric, revision, NOW - DAY, NOW))
    ]
    assert sums == [1, 2, 3]
    assert summarise(body, "loss", "churn-2", NOW - DAY, NOW) is None


def test_the_body_that_is_folded_into_is_not_changed() -> None:
    body = folded(sample(1))
    before = json.dumps(body)
    folded(sample(2), body=body)
    assert json.dumps(body) == before


def test_metadata_stays() -> None:
    body = {"metadata": {"name": "churn"}, **folded(sample(1))}
    assert folded(sample(2), body=body)["metadata"] == {"name": "churn"}


def test_a_new_revision_pushes_out_what_the_old_one_has_not_reported_for_longest() -> None:
    body = folded(sample(1, name="stale"), now=NOW - DAY)
    body = folded(*(sample(1, name=f"m{i}") for i in range(MAX_SERIES - 1)), body=body)
    body = folded(sample(1, revision="churn-2"), body=body)
    series = body["status"]["series"]
    assert len(series) == MAX_SERIES
    assert "stale" not in {row["metric"] for row in series}
    assert series[-1]["revision"] == "churn-2"


def test_a_revision_does_not_push_out_its_own_series() -> None:
    body = folded(*(sample(1, name=f"m{i}") for i in range(MAX_SERIES)))
    with pytest.raises(Full, match=r"no room for metric 'm16' of revision 'churn-1'.*at most 16") as caught:
        folded(sample(1, name="m0"), sample(1, name="m16"), body=body)
    assert caught.value.problem.index == 1


def test_an_old_revision_does_not_push_out_those_of_the_newest() -> None:
    body = folded(sample(1), *(sample(1, name=f"m{i}", revision="churn-2") for i in range(MAX_SERIES - 1)))
    with pytest.raises(Full):
        folded(sample(1, name="loss"), body=body)


def dense(series: int) -> Body:
    """Samples with long numbers in every minute of a month, of so many metrics."""
    generator = random.Random(1)
    ages = [*range(0, 3600, 60), *range(0, 43_200, 900), *range(0, 29 * 86_400, 43_200)]
    return folded(
        *(
            sample(generator.random() * -1e-9, age, count=10**9, name=f"m{i}", revision="r" * 63)
            for i in range(series)
            for age in ages
        )
    )


@pytest.mark.parametrize("series", [1, 4, MAX_SERIES])
def test_a_record_stays_small_and_keeps_what_is_newest(series: int) -> None:
    body = dense(series)
    assert len(json.dumps(body, separators=(",", ":"))) <= MAX_BYTES - 3 * 1024
    for i in range(series):
        summary = summarise(body, f"m{i}", "r" * 63, NOW - timedelta(minutes=1), NOW)
        assert summary
        assert summary.last_time == NOW


def test_a_series_of_few_samples_is_not_pushed_out_by_dense_ones() -> None:
    daily = [sample(0.9, day * 86_400) for day in range(29)]
    body = folded(*daily, body=dense(MAX_SERIES - 2))
    summary = over(body, timedelta(days=30))
    assert summary
    assert summary.count == 29


@pytest.mark.parametrize(
    "line",
    [
        "",
        "yesterday 1 1 1 1 1 0",
        "2026-99-21 1 1 1 1 1 0",
        "2026-11-21T10:07Z 0 1 1 1 1 0",
        "2026-11-21 1 1e999 1 1 1 0",
    ],
)
def test_a_line_broken_by_hand_is_left_out(line: str) -> None:
    body = folded(sample(1))
    body["status"]["series"][0]["minutes"].append(line)
    body["status"]["series"][0]["updated"] = "at some time"
    summary = over(folded(sample(2), body=body), timedelta(hours=1))
    assert summary
    assert summary.count == 2
