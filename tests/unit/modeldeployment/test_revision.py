"""Names of revisions: what rolls and what does not."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.modeldeployment import ModelDeploymentSpec
from perennial.modeldeployment.revision import Model, revision_of
from tests.unit.modeldeployment.world import digest

MODEL = Model("churn", 1, "s3://acme/churn/1", digest(1), "sklearn", None)


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"name": "churn"}, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"replicas": 5},
        {"approval": "Manual"},
        {"gate": {"metrics": [{"name": "a", "min": 1}]}},
        {"maxSurge": "50%"},
        {"scaleDownDelay": "1h"},
        {"progressDeadlineSeconds": 60},
        {"revisionHistoryLimit": 1},
        {"model": {"name": "churn", "version": 1}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_no_pod_changes_no_name(fields: dict[str, Any]) -> None:
    assert revision_of("x", spec(**fields), MODEL) == revision_of("x", spec(), MODEL)


@pytest.mark.parametrize(
    "fields",
    [
        {"template": {"spec": {}}},
        {"runtime": "sklearn"},
        {"storage": {"secretName": "s"}},
        {"requestLog": {"uri": "s3://acme/requests"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_the_pod_changes_the_name(fields: dict[str, Any]) -> None:
    assert revision_of("x", spec(**fields), MODEL) != revision_of("x", spec(), MODEL)


@pytest.mark.parametrize("fields", [{"version": 2}, {"digest": digest(2)}, {"format": "onnx"}, {"uri": "s3://b/c"}])
def test_another_model_changes_the_name(fields: dict[str, Any]) -> None:
    assert revision_of("x", spec(), replace(MODEL, **fields)) != revision_of("x", spec(), MODEL)


@given(st.from_regex(r"\A[a-z]([-a-z0-9]{0,43}[a-z0-9])?\Z"))
def test_names_are_valid_for_deployments_and_labels(name: str) -> None:
    revision = revision_of(name, spec(), MODEL)
    assert len(revision) <= 63
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", revision)
