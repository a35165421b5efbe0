"""A version that passes every test beforehand and is bad at what counts: the policy that brought it takes it back."""

from pathlib import Path

import pytest

from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.reporter import monitor, reporting
from e2e.served import mended, odd_server, tried
from e2e.space import Space, policy, serving
from e2e.store import Store

# On the API server it is played each time.
pytestmark = pytest.mark.full
NAME = "proven"
ACCURACY: Body = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.8, "minSamples": 20}}


def test_a_relapse_brings_back_what_served_before(lab: Lab, store: Store, tmp_path: Path) -> None:
    space = Space(lab, "e2e-probation", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    monitor(space)
    space.apply(tried(store, NAME, 1))
    steps = [{"setWeight": 50}, {"pause": {"duration": "5s"}}]
    space.apply(serving(NAME, replicas=2, template=odd_server(), strategy={"canary": {"steps": steps}}))
    space.serves(NAME, 1)
    space.apply(policy(NAME, mended(NAME), triggers=[ACCURACY], watch={"period": "1h"}, cooldown="1h"))
    space.kubectl("annotate", "rp", NAME, "perennial.dev/run-request=1")

    def run() -> Body:
        status = (space.get("rp", NAME) or {}).get("status") or {}
        found: Body = (status.get("runs") or [{}])[0]
        return found

    with Load(lab, tmp_path, space.address(NAME), rate=50) as load:
        space.serves(NAME, 2)
        space.until("it is on probation", lambda: "watchedUntil" in run(), 60)
        revision = (space.get("mdep", NAME) or {})["status"]["stableRevision"]
        with reporting(space, tmp_path, NAME, revision, 0.5):
            space.until("it relapses", lambda: run()["phase"] == "RolledBack", 120)
        said = space.says("mdep", NAME, "Stalled", "True", "relapsed")
        print(said["message"])
        space.until(
            "version 1 serves", lambda: (space.get("mdep", NAME) or {})["status"]["modelVersion"] == f"{NAME}-1"
        )
        counts = load.stop()
    assert counts["failures"] == 0, counts["words"]
    assert len(space.every("trainingjobs", "perennial.dev/retrainpolicy=proven")) == 1
