"""A policy that goes by what pods count, on a real API server, with pages of metrics that stand in for pods."""

from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import SERVER, Serving
from tests.apiserver.space import Space
from tests.apiserver.test_analysis import OLD, pages
from tests.apiserver.test_probation import TRAINING

ERRORS = {
    "name": "errors",
    "source": {
        "pods": {
            "numerator": {"metric": "hits_total", "labels": {"code": "5*"}},
            "denominator": {"metric": "hits_total"},
        }
    },
    "above": 0.05,
}


def test_pods_that_err_start_a_run_once_and_who_cannot_be_read_none(space: Space, perennial: Perennial) -> None:
    def row() -> Body:
        status = space.there(RETRAINPOLICIES, "churn").get("status") or {}
        return dict((status.get("triggers") or [{}])[0])

    serving = Serving(space)
    with pages({OLD: 0.2}) as port:
        server = SERVER | {"ports": [{"name": "http", "containerPort": port}]}
        serving.version(1)
        serving.deploy(template={"spec": {"containers": [server]}})
        revision = serving.rolling()
        serving.ready(revision, address=OLD)
        serving.says("Ready", "True", "Serving")
        spec = {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": TRAINING},
            "triggers": [{"name": "errors", "metric": ERRORS}],
        }
        space.make(RETRAINPOLICIES, "churn", spec)
        eventually(lambda: f"0 of at least 1 samples of {revision}" in row().get("message", ""), 30)
        assert row()["state"] == "Waiting", "what they had counted before is not known"
        eventually(lambda: row()["state"] == "Firing", 60)
        assert row()["message"] == "errors is 0.2 (500 samples by pods in 1h), above 0.05; run 1 deals with it"
        (run,) = space.there(RETRAINPOLICIES, "churn")["status"]["runs"]
        assert (run["cause"]["value"], run["cause"]["samples"], run["cause"]["revision"]) == (0.2, 500, revision)
        space.there(TRAININGJOBS, "churn-1")
        # What was counted is in the memory of an operator: one that was killed begins anew, and starts nothing for it.
        perennial.kill()
        perennial.restart()
        eventually(lambda: row()["state"] == "Waiting", 60)
        eventually(lambda: row()["state"] == "Firing", 60)
        assert "run 1 deals with it" in row()["message"]
    eventually(lambda: row()["state"] == "Unavailable", 60)
    assert "pods cannot be asked: ClientConnectorError: " in row()["message"]
    assert len(space.there(RETRAINPOLICIES, "churn")["status"]["runs"]) == 1
