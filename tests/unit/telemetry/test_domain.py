"""The domain's figures: each turn once, at the write that makes it."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from perennial.api.meta import ANNOTATION_CAUSE, LABEL_RETRAINPOLICY
from perennial.api.resources import JOBS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.telemetry.domain import written
from tests.unit.runtime.builders import a_body

CREATED = {"creationTimestamp": "2026-11-21T00:00:00Z"}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def a_run(**status: Any) -> dict[str, Any]:
    return a_body(TRAININGJOBS, "tj", metadata=CREATED, status=status)


@pytest.mark.parametrize(
    ("before", "after", "outcome", "counted"),
    [
        pytest.param({"phase": "Running"}, {"phase": "Succeeded"}, "Succeeded", 1, id="success"),
        pytest.param({}, {"phase": "Failed"}, "Failed", 1, id="failure at once"),
        pytest.param({"phase": "Failed"}, {"phase": "Failed", "x": 1}, "Failed", 0, id="already counted"),
        pytest.param({}, {"phase": "Running"}, "Running", 0, id="no outcome"),
    ],
)
def test_outcomes(before, after, outcome, counted):
    start = value("perennial_trainingjobs_total", outcome=outcome)
    body = a_run(**before)
    written(body, body, a_run(**after))
    assert value("perennial_trainingjobs_total", outcome=outcome) - start == counted


def test_the_time_to_a_running_pod_is_measured_once_even_when_running_was_never_written():
    count, total = (value(f"perennial_trainingjob_running_latency_seconds_{part}") for part in ("count", "sum"))
    done = a_run(phase="Succeeded", startTime="2026-11-21T00:00:07Z")
    written(a_run(), a_run(), done)
    written(done, done, a_run(phase="Succeeded", startTime="2026-11-21T00:00:07Z", modelVersion="v"))
    assert value("perennial_trainingjob_running_latency_seconds_count") - count == 1
    assert value("perennial_trainingjob_running_latency_seconds_sum") - total == 7


def test_the_time_to_a_job_is_that_of_a_trainingjobs_own():
    count = value("perennial_trainingjob_job_latency_seconds_count")
    written(a_run(), None, a_body(JOBS, "job"))
    written(a_body(MODELVERSIONS, "v"), None, a_body(JOBS, "recovery"))
    written(None, None, a_body(JOBS, "job"))
    assert value("perennial_trainingjob_job_latency_seconds_count") - count == 1


def test_a_retrain_is_counted_by_its_trigger_and_a_persons_own_is_none():
    start = value("perennial_retrains_total", trigger="Metric")
    metadata = {"labels": {LABEL_RETRAINPOLICY: "rp"}, "annotations": {ANNOTATION_CAUSE: '{"type": "Metric"}'}}
    policy = a_body(RETRAINPOLICIES, "rp")
    written(policy, None, a_body(TRAININGJOBS, "rp-1", metadata=metadata))
    written(None, None, a_body(TRAININGJOBS, "mine"))
    assert value("perennial_retrains_total", trigger="Metric") - start == 1


def test_verdicts_are_counted_by_deployment_when_they_fall():
    def version(**states: str) -> dict[str, Any]:
        deployments = [{"name": name, "state": state} for name, state in states.items()]
        return a_body(MODELVERSIONS, "v", status={"deployments": deployments})

    names = ("Serving", "Vetoed", "Waiting")
    start = {name: value("perennial_modelversions_total", verdict=name) for name in names}
    before = version(a="Serving", b="Waiting", c="RollingOut")
    written(before, before, version(a="Serving", b="Waiting", c="Vetoed", d="Serving"))
    counted = {name: value("perennial_modelversions_total", verdict=name) - start[name] for name in names}
    assert counted == {"Serving": 1, "Vetoed": 1, "Waiting": 0}
