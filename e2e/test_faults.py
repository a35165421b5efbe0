"""The operator is killed in the middle of each stage of the loop, and the loop ends as if nothing had been."""

import pytest

from e2e import audit, operators
from e2e.lab import Body, Lab
from e2e.space import Space, container_state, digits, policy, serving
from e2e.store import Store

NO_TRAININGS: Body = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-trainings"},
    "spec": {"hard": {"count/trainingjobs.perennial.dev": "0"}},
}


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    """A served version, and a policy whose run is asked for by hand."""
    space = Space(lab, "e2e-faults")
    space.use(store)
    space.apply(digits("first", c=1), serving("digits"))
    space.serves("digits", 1)
    # What holds the run back, and can be lifted at a moment of the test's own.
    space.apply(NO_TRAININGS)
    quota = "no-trainings"
    space.until("the quota counts", lambda: (space.get("resourcequota", quota) or {})["status"].get("used"))
    space.apply(policy("digits", digits("again", held=True)))
    return space


def test_one_run_stays_one_run_wherever_the_operator_dies(space: Space, store: Store, lab: Lab, began: float) -> None:
    space.kubectl("annotate", "retrainpolicy", "digits", "perennial.dev/run-request=monday")
    run = space.until("the run is decided, and held by the quota", lambda: _run(space, "Pending", "quota"))
    _kill(lab)
    space.kubectl("delete", "resourcequota", "no-trainings")
    space.until("its training begins", lambda: _run(space, "Training"), 120)

    pod = space.in_training(run["trainingJob"])
    _kill(lab)
    space.reaches(run["trainingJob"], "Running")

    store.stop()
    try:
        space.let_go(pod)
        space.until("the training has ended", lambda: _trained(space, run["trainingJob"]))
        _kill(lab)
    finally:
        store.start()
    space.until("the version is rolled out", lambda: _run(space, "RollingOut"), 120, every=0.1)
    _kill(lab)

    promoted = space.until("the version takes over", lambda: _run(space, "Promoted"))
    assert (promoted["number"], promoted["cause"]["request"], promoted["modelVersion"]) == (1, "monday", "digits-2")
    space.serves("digits", 2)
    (job,) = space.every("trainingjobs", "perennial.dev/retrainpolicy=digits")
    assert len(job["status"]["attempts"]) == 1
    assert len((space.get("retrainpolicy", "digits") or {})["status"]["runs"]) == 1
    made = audit.made(lab, operators.USER, began, space.name)
    assert (made["trainingjobs"], sorted(made["jobs"])) == (["digits-1"], ["digits-1", "first"])
    assert sorted(made["modelversions"]) == ["digits-1", "digits-2"]
    assert len(made["deployments"]) == 2


def _kill(lab: Lab) -> None:
    operators.replace_leader(lab)


def _run(space: Space, phase: str, words: str = "") -> Body | None:
    status = (space.get("retrainpolicy", "digits") or {}).get("status") or {}
    runs = status.get("runs") or ()
    return next((one for one in runs if one["phase"] == phase and words in (one.get("message") or "")), None)


def _trained(space: Space, job: str) -> bool:
    pod = space.pod_of(job)
    return pod is not None and container_state(pod, "train").get("terminated", {}).get("exitCode") == 0
