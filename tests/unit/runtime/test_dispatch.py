"""Which keys a change concerns."""

import pytest

from perennial.api.resources import JOBS, MODELS, MODELVERSIONS, TRAININGJOBS
from perennial.plan import Plan
from perennial.runtime.dispatch import Dispatch
from perennial.view import Controller, Name, owner_of
from tests.unit.runtime.builders import a_body, a_job


def model_of(_, body):
    yield Name("ns", body["spec"]["model"])


@pytest.fixture
def added():
    return []


@pytest.fixture
def dispatch(added):
    controllers = [
        Controller(TRAININGJOBS, lambda *_: None, lambda *_: Plan(), {JOBS: owner_of(TRAININGJOBS)}),
        Controller(MODELS, lambda *_: None, lambda *_: Plan(), {MODELVERSIONS: model_of, TRAININGJOBS: lambda *_: ()}),
    ]
    return Dispatch(controllers, None, lambda key: added.append((key.resource.plural, key.name)))


@pytest.mark.parametrize(
    ("resource", "before", "after", "expected"),
    [
        pytest.param(TRAININGJOBS, None, a_body(TRAININGJOBS, "tj"), [("trainingjobs", "tj")], id="its own kind"),
        pytest.param(JOBS, None, a_job(owner="tj"), [("trainingjobs", "tj")], id="a child"),
        pytest.param(JOBS, a_job(owner="tj"), None, [("trainingjobs", "tj")], id="a deleted child"),
        pytest.param(JOBS, a_job(owner="tj"), a_job(owner="tj"), [("trainingjobs", "tj")], id="a changed child, once"),
        pytest.param(
            MODELVERSIONS,
            a_body(MODELVERSIONS, "v", spec={"model": "old"}),
            a_body(MODELVERSIONS, "v", spec={"model": "new"}),
            [("models", "new"), ("models", "old")],
            id="what it concerned before",
        ),
        pytest.param(MODELVERSIONS, None, a_body(MODELVERSIONS, "v"), [], id="a watch that fails on it"),
    ],
)
def test_keys(dispatch, added, resource, before, after, expected):
    dispatch(resource, before, after)
    assert added == expected
