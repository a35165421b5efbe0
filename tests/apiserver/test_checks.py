"""The analysis' source `job`, on a real API server with its Job controller."""

import pytest

from perennial.api.meta import LABEL_CHECK
from perennial.api.resources import DEPLOYMENTS, JOBS, SERVICES
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

SMOKE: Body = {"name": "smoke", "image": "smoke:1"}


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def checked(container: Body) -> Body:
    job = {"template": {"spec": {"containers": [container]}}, "activeDeadlineSeconds": 60}
    analysis = {"interval": "1s", "metrics": [{"name": "smoke", "source": {"job": job}}]}
    return {"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": analysis}}


def second(serving: Serving) -> str:
    """Version 2, with a pod that is ready, and a look that is due."""
    serving.serve_first(strategy=checked(SMOKE))
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    return new


def test_a_job_says_no(serving: Serving, perennial: Perennial) -> None:
    new = second(serving)
    pod = serving.asker(LABEL_CHECK)
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert env["PERENNIAL_URL"] == f"http://churn-preview.{serving.space.name}.svc"
    assert env["PERENNIAL_REVISION"] == new
    selector = serving.space.there(SERVICES, "churn")["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items(), "nobody takes it for a server"
    perennial.kill()
    serving.asked(pod, 3, "the answers are in the wrong unit")
    perennial.restart()
    words = serving.says("Ready", "False", "RolloutFailed", 40)
    assert "smoke: its Job says that it is not good: the answers are in the wrong unit (AnalysisFailed)" in words
    eventually(lambda: not serving.space.get(DEPLOYMENTS, new))
    assert serving.space.requests()["create jobs"] == 1
    serving.space.idle(2)


def test_a_job_that_no_cluster_would_take_is_told_of_at_once_and_forgotten_once_put_right(serving: Serving) -> None:
    serving.version(1)
    serving.deploy(strategy=checked(SMOKE | {"imagePullPolicy": "sometimes"}))
    serving.ready(serving.rolling())
    words = serving.says("Stalled", "True", "InvalidSpec")
    field = "spec.strategy.canary.analysis.metrics[0].source.job.template.spec.containers[0].imagePullPolicy"
    assert f'{field}: Unsupported value: "sometimes"' in words
    serving.edit(strategy=checked(SMOKE | {"imagePulPolicy": "Always"}))
    eventually(lambda: 'unknown field "spec.template.spec.containers[0].imagePulPolicy"' in str(serving.status))
    serving.edit(strategy=checked(SMOKE))
    serving.says("Ready", "True", "Serving")
    assert not serving.space.every(JOBS), "they were tried, not made"
