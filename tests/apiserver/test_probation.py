"""A version that looked good and is not, with the real operator: rolled back by the policy that brought it."""

from typing import Any

from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space

ACCURACY = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}}
TRAINING = {
    "model": {"name": "churn"},
    "template": {"spec": {"containers": [{"name": "main", "image": "train:1", "command": ["python", "train.py"]}]}},
    "output": {"uri": "s3://acme/models"},
}


def test_a_relapse_brings_back_what_served_before(space: Space, kubelet: Kubelet) -> None:
    serving = Serving(space)
    first = serving.serve_first(strategy={"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": "1s"}}]}})
    spec = {
        "deployment": {"name": "churn"},
        "trainingJobTemplate": {"spec": TRAINING},
        "triggers": [ACCURACY],
        "watch": {"period": "1h"},
    }
    space.make(RETRAINPOLICIES, "churn", spec)

    def run() -> Any:
        status = space.there(RETRAINPOLICIES, "churn").get("status") or {}
        return (status.get("runs") or [{}])[0]

    space.patch(RETRAINPOLICIES, "churn", {"metadata": {"annotations": {"perennial.dev/run-request": "1"}}})
    space.there(TRAININGJOBS, "churn-1")
    kubelet.runs("churn-1")
    kubelet.publishes("churn-1", digest="sha256:" + "b" * 64)
    second = serving.rolling()
    serving.ready(second)
    eventually(lambda: run().get("phase") == "Promoted" and run().get("watchedUntil"), 30)
    assert serving.status["stableRevision"] == second

    space.measured("churn", "accuracy", 0.5)
    eventually(lambda: run()["phase"] == "RolledBack")
    assert run()["message"].startswith("churn-2 relapsed: accuracy is 0.5 (")
    eventually(lambda: [veto["reason"] for veto in serving.status.get("vetoes", ())] == ["Relapsed"])
    serving.ready(first)
    eventually(lambda: serving.status["stableRevision"] == first, 30)
    assert serving.status["modelVersion"] == "churn-1"
    assert "relapsed" in serving.says("Stalled", "True", "RolloutFailed")
    space.rests(3)
    assert run()["number"] == 1, "what serves now reported nothing: nothing is trained for it"
