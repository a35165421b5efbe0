"""Policies that go by what evaluations log to MLflow, with a real tracking server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.answers import Answers
from perennial.api.resources import RETRAINPOLICIES
from perennial.config import Config
from perennial.plan import Body
from perennial.questions import Answer, Runs, Sampled
from tests.apiserver.operators import PRESETS, USER, Perennial, apply_kinds, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.apiserver.test_notices import TRAINING
from tests.tracking import Tracking, tracking

NOW = datetime.now(UTC).replace(microsecond=0)
MINE = {"perennial.dev/revision": "churn-r1"}
RUNS = Runs(
    at=NOW,
    since=NOW - timedelta(hours=1),
    server="default",
    experiment="held out",
    filter="tags.`perennial.dev/revision` = 'churn-r1'",
    metric="accuracy",
)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with tracking(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="module")
def evaluated(mlflow: Tracking) -> None:
    """Three runs of the revision in the last hour, of which one has the metric twice; others that do not count."""
    experiment = mlflow.experiment("held out")
    mlflow.evaluated(experiment, NOW - timedelta(minutes=5), MINE, accuracy=0.9, loss=7)
    mlflow.evaluated(experiment, NOW - timedelta(minutes=30), MINE, accuracy=0.7)
    mlflow.evaluated(experiment, NOW - timedelta(minutes=40), MINE, loss=7)
    mlflow.evaluated(experiment, NOW - timedelta(hours=2), MINE, accuracy=0.1)
    mlflow.evaluated(experiment, NOW - timedelta(minutes=5), {"perennial.dev/revision": "churn-r0"}, accuracy=0.1)
    mlflow.evaluated(mlflow.experiment("another"), NOW - timedelta(minutes=5), MINE, accuracy=0.1)


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({}, Answer(Sampled(2, 0.8, 0.7, 0.9))),
        ({"since": NOW - timedelta(minutes=10)}, Answer(Sampled(1, 0.9, 0.9, 0.9))),
        ({"filter": ""}, Answer(Sampled(3, 1.7 / 3, 0.1, 0.9))),
        ({"metric": "f1"}, Answer()),
        ({"filter": "tags.`perennial.dev/revision` = 'churn-r9'"}, Answer()),
    ],
)
async def test_the_runs_of_the_window_are_the_samples(mlflow: Tracking, changed: Body, answer: Answer) -> None:
    config = Config.model_validate({"mlflowServers": {"default": {"url": mlflow.url}}})
    async with Answers(config) as answers:
        assert await answers.answer(replace(RUNS, **changed)) == answer


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"experiment": "nowhere"}, "there is no experiment 'nowhere' on http://"),
        ({"filter": "colour = 'red'"}, "the search is refused: Invalid"),
        ({"server": "other"}, "there is no MLflow server 'other' in the operator's configuration: default"),
    ],
)
async def test_what_cannot_be_asked_is_said(mlflow: Tracking, changed: Body, words: str) -> None:
    config = Config.model_validate({"mlflowServers": {"default": {"url": mlflow.url}}})
    async with Answers(config) as answers:
        assert words in (await answers.answer(replace(RUNS, **changed))).error


def test_an_evaluation_that_is_bad_starts_a_run(mlflow: Tracking, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("operator")
    config = folder / "config.yaml"
    config.write_text(json.dumps(PRESETS | {"mlflowServers": {"default": {"url": mlflow.url}}}))
    with ApiServer(folder, users={USER: ["system:masters"]}, controller_manager=True) as server:
        apply_kinds(server)
        with Perennial(server, "perennial-0", config) as operator:
            operator.started()
            space = Space(server)
            revision = Serving(space).serve_first()
            experiment = mlflow.experiment("evaluations")
            source = {"mlflow": {"experiment": "evaluations"}}
            metric = {"name": "accuracy", "source": source, "below": 0.9, "window": "1h", "minSamples": 2}
            trigger = {"name": "accuracy", "metric": metric}
            template = {"spec": TRAINING}
            spec = {"deployment": {"name": "churn"}, "trainingJobTemplate": template, "triggers": [trigger]}
            space.make(RETRAINPOLICIES, "churn", spec)

            def row() -> Body:
                status = space.there(RETRAINPOLICIES, "churn").get("status") or {}
                return dict((status.get("triggers") or [{}])[0])

            eventually(lambda: "0 of at least 2 samples" in row().get("message", ""), 30)
            for value in (0.8, 0.6):
                mlflow.evaluated(experiment, datetime.now(UTC), {"perennial.dev/revision": revision}, accuracy=value)
            eventually(lambda: row()["state"] == "Firing", 60)
            assert "accuracy is 0.7 (2 samples by mlflow), below 0.9" in row()["message"]
