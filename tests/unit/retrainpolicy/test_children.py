"""The TrainingJob of a run: what its template may say of the run."""

from typing import Any

import pytest

from perennial.api.retrainpolicy import Cause, Run, RunPhase
from perennial.plan import Body
from perennial.retrainpolicy.children import training_job, unknown_words
from perennial.retrainpolicy.snapshot import gather
from tests.unit.retrainpolicy.builders import NOW, Team, a_policy


def spec_of(template: Body, value: float | None = 0.7) -> Body:
    team = Team(a_policy(trainingJobTemplate={"spec": template}))
    snapshot = gather(team.world, "team", "churn")
    assert snapshot
    assert snapshot.spec
    cause = Cause(trigger="accuracy", type="Metric", message="it is low", value=value)
    run = Run(number=3, cause=cause, phase=RunPhase.PENDING, training_job="churn-3", start_time=NOW)
    spec: Body = training_job(snapshot, snapshot.spec, run)["spec"]
    return spec


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("$(run.number)", "3"),
        ("s3://acme/$(run.number)/$(run.trigger)", "s3://acme/3/accuracy"),
        ("$(run.cause): $(run.value)", "it is low: 0.7"),
        ("$$(run.number)", "$(run.number)"),
        ("$(HOME) $run.number ${run.number}", "$(HOME) $run.number ${run.number}"),
        (["a", {"b": "$(run.number)"}], ["a", {"b": "3"}]),
        (7, 7),
        (None, None),
        (True, True),
    ],
)
def test_words_stand_for_what_they_say(written: Any, made: Any) -> None:
    template = {"model": {"name": "churn"}, "parameters": {"x": written}}
    assert spec_of(template) == {"model": {"name": "churn"}, "parameters": {"x": made}}
    assert template["parameters"] == {"x": written}


def test_a_cause_without_a_value_says_nothing_of_it() -> None:
    assert spec_of({"model": {"name": "churn"}, "code": "v$(run.value)"}, None)["code"] == "v"


def test_unknown_words_are_found_wherever_they_are() -> None:
    template = {"a": ["$(run.who)", {"b": "$$(run.not) $(run.number) $(run.)"}], "c": 1}
    assert unknown_words(template) == ["who", ""]
