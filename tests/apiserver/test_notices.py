"""People are told of a policy's runs by the real operator, also where a receiver or the operator was away meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.receiver import Receiver

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "retrain-notify.yaml"
TRAIN: Body = {"name": "train", "image": "train:1", "command": ["python", "train.py"]}
TRAINING: Body = {
    "model": {"name": "churn"},
    "template": {"spec": {"containers": [TRAIN]}},
    "output": {"uri": "s3://acme/models"},
}


class Policy:
    """The policy `churn` of one namespace, with what people are told of it."""

    def __init__(self, space: Space, people: Receiver) -> None:
        self.space = space
        self._people = people

    def create(self, *notify: Body) -> None:
        kind = {"apiVersion": RETRAINPOLICIES.api_version, "kind": RETRAINPOLICIES.kind}
        spec = {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": TRAINING}, "notify": list(notify)}
        self.space.create({**kind, "metadata": {"name": "churn", "namespace": self.space.name}, "spec": spec})

    def request(self, value: str) -> None:
        annotations = {"perennial.dev/run-request": value}
        self.space.patch(RETRAINPOLICIES, "churn", {"metadata": {"annotations": annotations}})

    @property
    def told(self) -> list[tuple[str, str]]:
        """Of this policy, in its order: what, and of which run."""
        events = [body for _, _, body in self._people.told if body["data"]["namespace"] == self.space.name]
        return [(event["type"].rpartition(".")[2], event["data"]["run"]) for event in events]

    @property
    def status(self) -> Any:
        return self.space.there(RETRAINPOLICIES, "churn").get("status") or {}

    @property
    def notified(self) -> str:
        """What is said of it; empty while all are told."""
        found = [one for one in self.status.get("conditions", ()) if one["type"] == "Notified"]
        return str(found[0]["message"]) if found else ""


@pytest.fixture
def policy(space: Space, people: Receiver) -> Policy:
    Serving(space).serve_first()
    return Policy(space, people)


def test_the_way_of_a_run_is_told(policy: Policy) -> None:
    policy.create({"receiver": "people", "events": ["Started", "Failed", "Promoted"]})
    policy.request("1")
    policy.space.there(TRAININGJOBS, "churn-1")
    eventually(lambda: policy.told == [("RunStarted", "1")])
    policy.space.delete(TRAININGJOBS, "churn-1")
    eventually(lambda: policy.told == [("RunStarted", "1"), ("RunFailed", "1")])
    eventually(lambda: "pendingNotices" not in policy.status["runs"][0])
    policy.space.rests(3)
    assert len(policy.told) == 2


def test_it_is_told_once_the_receiver_is_back_whoever_leads_then(
    policy: Policy, people: Receiver, perennial: Perennial
) -> None:
    people.status = 503
    try:
        policy.create({"receiver": "people", "events": ["Started"]})
        policy.request("1")
        eventually(lambda: policy.notified == "receiver people: HTTP 503: not so")
        perennial.kill()
        (run,) = policy.status["runs"]
        assert [one["receiver"] for one in run["pendingNotices"]] == ["people"], "it is on record"
    finally:
        people.status = 202
    before = len(policy.told)
    perennial.restart()
    perennial.started()
    eventually(lambda: len(policy.told) > before, 75)
    eventually(lambda: not policy.notified and "pendingNotices" not in policy.status["runs"][0])
    assert set(policy.told) == {("RunStarted", "1")}


def test_who_is_not_known_is_said(policy: Policy) -> None:
    policy.create({"receiver": "nobody", "events": ["Started"]})
    eventually(lambda: "there is no receiver 'nobody' in the operator's configuration: people" in policy.notified)


def test_the_example_of_the_documentation(space: Space) -> None:
    space.server.kubectl("apply", "-n", space.name, "-f", str(EXAMPLE))
    policy = space.there(RETRAINPOLICIES, "churn")
    assert [one["receiver"] for one in policy["spec"]["notify"]] == ["ml-oncall", "ml-team"]
