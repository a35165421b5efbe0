"""Bodies from anybody: samples, or a refusal in words. Never anything else."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.metricseries import MetricSeriesStatus
from perennial.ingest.payload import MAX_SAMPLES, parse
from perennial.ingest.refusal import Refusal
from perennial.metricseries.sample import Sample

NOW = 1_795_255_650.0
GOOD = {"name": "accuracy", "value": 0.9, "revision": "churn-1"}


def report(*samples: Any) -> bytes:
    return json.dumps({"samples": samples}).encode()


def refused(body: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        parse(body, NOW)
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("fields", "sample"),
    [
        ({}, Sample("accuracy", 0.9, NOW, "churn-1")),
        ({"value": 1}, Sample("accuracy", 1.0, NOW, "churn-1")),
        ({"timestamp": None}, Sample("accuracy", 0.9, NOW, "churn-1")),
        ({"timestamp": 1_795_255_000}, Sample("accuracy", 0.9, 1_795_255_000.0, "churn-1")),
        ({"timestamp": "2026-11-21T10:07:30.5Z"}, Sample("accuracy", 0.9, NOW + 0.5, "churn-1")),
        ({"timestamp": "2026-11-21T11:07:30+01:00"}, Sample("accuracy", 0.9, NOW, "churn-1")),
        ({"count": 50}, Sample("accuracy", 0.9, NOW, "churn-1", 50)),
    ],
    ids=str,
)
def test_a_sample_is_read(fields: dict[str, Any], sample: Sample) -> None:
    assert parse(report(GOOD | fields), NOW) == [sample]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a b"}, "samples[1].name: String should match pattern"),
        ({"name": "accuracy\n"}, "samples[1].name: String should match pattern"),
        ({"name": "x" * 64}, "samples[1].name: String should have at most 63 characters"),
        ({"name": None}, "samples[1].name: Input should be a valid string"),
        ({"value": "0.9"}, "samples[1].value: Input should be a valid number"),
        ({"value": True}, "samples[1].value: Input should be a valid number"),
        ({"value": 10**400}, "samples[1].value: "),
        ({"value": -2e100}, "samples[1].value: must be at most 1e+100, or at least -1e+100"),
        ({"revision": "Churn"}, "samples[1].revision: String should match pattern"),
        ({"timestamp": "yesterday"}, "samples[1].timestamp: Invalid isoformat string: 'yesterday'"),
        (
            {"timestamp": "2026-11-21T10:07:30"},
            "samples[1].timestamp: '2026-11-21T10:07:30' has no time zone",
        ),
        ({"timestamp": [1]}, "samples[1].timestamp: Input should be a valid number"),
        ({"count": 0}, "samples[1].count: Input should be greater than or equal to 1"),
        ({"count": 1.5}, "samples[1].count: Input should be a valid integer"),
        ({"count": 10**10}, "samples[1].count: Input should be less than or equal to 1000000000"),
        ({"weight": 2}, "samples[1].weight: Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_the_sample_and_the_field_are_named(fields: dict[str, Any], words: str) -> None:
    assert refused(report(GOOD, GOOD | fields)).startswith(words)


def test_where_to_find_the_revision_is_said() -> None:
    without = {key: GOOD[key] for key in ("name", "value")}
    words = "samples[0].revision: missing: the header Perennial-Revision of the model server's answer says it"
    assert refused(report(without)) == words


def test_all_problems_are_counted_and_the_first_are_told() -> None:
    with pytest.raises(Refusal, match=r"^samples\[0\].value: .* \(and 29 more\)$") as caught:
        parse(report(*[GOOD | {"value": None}] * 30), NOW)
    body = json.loads(caught.value.response().text or "")
    assert [problem["index"] for problem in body["samples"]] == list(range(10))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is no JSON: Expecting value"),
        (b"\xff\xfe\xfd", "the body is no JSON: "),
        (b"[]", "the body: Input should be a valid dictionary"),
        (b"{}", "samples: Field required"),
        (b'{"samples": []}', "samples: List should have at least 1 item"),
        (report(*[GOOD] * (MAX_SAMPLES + 1)), "samples: List should have at most 1000 items"),
        (b'{"samples": [{"value": NaN}]}', "the body is no JSON: NaN is no number of JSON"),
        (b'{"samples": [{"value": -Infinity}]}', "the body is no JSON: -Infinity is no number of JSON"),
        (b'{"samples": [], "samples": []}', "the body is no JSON: the key 'samples' is there twice in one object"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b'{"a":' * 50_000, "the body is nested too deeply"),
        (b"9" * 100_000, "the body is no JSON: Exceeds the limit"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_report_is_said_so(body: bytes, words: str) -> None:
    assert refused(body).startswith(words)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e400"])
def test_numbers_beyond_all_bounds_are_refused(number: str) -> None:
    body = f'{{"samples": [{{"name": "a", "value": {number}, "revision": "r"}}]}}'
    assert refused(body.encode()).startswith("samples[0].value: Input should be a finite number")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TIMES = st.floats(NOW - 1e6, NOW) | st.datetimes().map(str) | JSONS
SAMPLES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("accuracy") | JSONS,
        "value": st.floats() | st.integers() | JSONS,
        "revision": st.just("churn-1") | JSONS,
        "timestamp": TIMES,
        "count": st.integers(0, 2**70) | JSONS,
    },
)


@given(
    body=st.binary(max_size=300) | JSONS.map(json.dumps).map(str.encode) | st.lists(SAMPLES).map(lambda s: report(*s))
)
def test_any_body_is_samples_or_a_refusal_that_can_be_sent(body: bytes) -> None:
    samples: list[Sample] = []
    refusal: Refusal | None = None
    try:
        samples = parse(body, NOW)
    except Refusal as error:
        refusal = error
    assert bool(samples) != bool(refusal)
    if refusal:
        assert json.loads(str(refusal.response().text))["error"]
        assert refusal.status == 400
    for sample in samples:
        assert math.isfinite(sample.value * sample.count)
        assert math.isfinite(sample.time)
        row = {"metric": sample.name, "revision": sample.revision, "updated": "2026-11-21T10:07:30Z"}
        MetricSeriesStatus.model_validate({"series": [row]})
