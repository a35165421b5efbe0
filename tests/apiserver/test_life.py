"""What becomes of a ModelDeployment that is renamed, rethought or not alone: two of one model, another model."""

import pytest

from perennial.api.resources import DEPLOYMENTS, MODELDEPLOYMENTS, MODELVERSIONS, PODS
from perennial.plan import Body
from tests.apiserver.operators import eventually
from tests.apiserver.serving import LOAD_FAILED, SERVER, Serving
from tests.apiserver.space import Space


class Beside(Serving):
    """Another deployment of the same model, which the test plays by the name of its own."""

    name = "beside"

    @property
    def status(self) -> Body:
        return (self.space.get(MODELDEPLOYMENTS, self.name) or {}).get("status") or {}


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def served_by(space: Space, version: str) -> list[str]:
    return list((space.there(MODELVERSIONS, version).get("status") or {}).get("servedBy") or ())


def verdicts(space: Space, version: str) -> dict[str, str]:
    rows = (space.there(MODELVERSIONS, version).get("status") or {}).get("deployments") or ()
    return {row["name"]: row["state"] for row in rows}


def test_two_deployments_of_one_model_decide_each_for_itself(serving: Serving) -> None:
    space, beside = serving.space, Beside(serving.space)
    first = serving.serve_first()
    template = {"spec": {"containers": [SERVER | {"image": "server:2"}]}}
    space.make(MODELDEPLOYMENTS, "beside", {"model": {"name": "churn"}, "template": template, "scaleDownDelay": "1s"})
    other = beside.rolling()
    beside.ready(other)
    beside.says("Ready", "True", "Serving")
    eventually(lambda: served_by(space, "churn-1") == ["beside", "churn"])
    # What one cannot load the other can.
    serving.version(2)
    failing, loading = serving.rolling(), beside.rolling()
    serving.ended(failing, 78, LOAD_FAILED)
    beside.ready(loading)
    beside.says("Ready", "True", "Serving")
    eventually(lambda: verdicts(space, "churn-2") == {"churn": "Vetoed", "beside": "Serving"})
    assert serving.status["stableRevision"] == first
    assert serving.pinned() == first
    eventually(lambda: serving.pinned("beside") == loading)
    space.delete(MODELDEPLOYMENTS, "beside")
    eventually(lambda: served_by(space, "churn-2") == [])
    assert served_by(space, "churn-1") == ["churn"]
    # The cluster collects what it owned, and nothing else.
    owners = {
        one["metadata"]["name"]: one["metadata"]["ownerReferences"][0]["name"] for one in space.every(DEPLOYMENTS)
    }
    assert {owners[name] for name in (loading, other) if name in owners} <= {"beside"}
    assert owners[first] == "churn"


def test_another_model_takes_over_as_a_new_version_does(serving: Serving) -> None:
    space = serving.space
    first = serving.serve_first()
    fraud = {"model": "fraud", "version": 7, "uri": "s3://acme/fraud/7", "digest": f"sha256:{7:064x}"}
    space.make(MODELVERSIONS, "fraud-7", fraud | {"format": "sklearn"})
    serving.edit(model={"name": "fraud"})
    rolling = serving.rolling()
    assert serving.pinned() == first, "until it is ready"
    serving.ready(rolling)
    serving.says("Ready", "True", "Serving")
    eventually(lambda: serving.pinned() == rolling)
    assert serving.status["modelVersion"] == "fraud-7"
    eventually(lambda: (served_by(space, "fraud-7"), served_by(space, "churn-1")) == (["churn"], []))
    # Nothing of the model before is looked at any more.
    serving.version(2)
    eventually(lambda: space.there(MODELVERSIONS, "churn-2"))
    assert not verdicts(space, "churn-2")
    assert all(one.get("version") != 2 for one in serving.status.get("candidates") or ())
    eventually(lambda: all(pod["metadata"]["labels"]["perennial.dev/revision"] == rolling for pod in space.every(PODS)))


def test_a_model_of_which_there_is_nothing_leaves_what_serves(serving: Serving) -> None:
    first = serving.serve_first()
    serving.edit(model={"name": "nosuch"})
    eventually(lambda: "nosuch" in str(serving.status["conditions"]))
    assert serving.pinned() == first
    assert serving.wanted(first) == 1
    serving.edit(model={"name": "churn"})
    serving.says("Ready", "True", "Serving")
    assert serving.status["stableRevision"] == first
