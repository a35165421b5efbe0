"""Operators that die in the middle, and two of them: the same end as without, and nothing made twice."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, MODELVERSIONS
from tests.apiserver.assassin import Assassin
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space


def test_killed_at_each_stage_it_ends_where_it_would_have_ended(
    space: Space, kubelet: Kubelet, perennial: Perennial
) -> None:
    for name in ("made", "running", "trained", "failing", "suspending", "late", "retried"):
        space.train(name, model={"name": name}, backoffLimit=1 if name == "retried" else 0)
        kubelet.pod(name)
    space.train("held", suspend=True)
    kubelet.runs("running")
    kubelet.trained("trained")
    kubelet.runs("suspending")
    space.reaches("suspending", "Running")
    space.reaches("held", "Suspended")
    perennial.kill()

    kubelet.publishes("running")
    kubelet.publishes("trained")
    kubelet.fails("failing", 3)
    kubelet.fails("retried", 4)
    space.edit("suspending", suspend=True)
    space.edit("held", suspend=False)
    space.edit("late", pendingDeadlineSeconds=1)
    space.train("new", model={"name": "new"})
    kubelet.publishes("retried")
    kubelet.runs("made")
    eventually(lambda: "succeeded" in space.there(JOBS, "trained")["status"])
    perennial.restart()

    for name in ("running", "trained", "retried"):
        assert space.reaches(name, "Succeeded")["modelVersion"] == f"{name}-1"
    assert [a["outcome"] for a in space.status("retried")["attempts"]] == ["Failed", "Succeeded"]
    assert space.reaches("failing", "Failed")["failure"]["exitCode"] == 3
    space.reaches("suspending", "Suspended")
    space.reaches("made", "Running")
    space.reaches("late", "Failed")
    kubelet.publishes("held")
    space.reaches("held", "Succeeded")
    space.there(JOBS, "new")
    asked = space.requests()
    assert asked["create jobs"] == 9
    assert asked["create modelversions"] == 4
    space.idle(1)


def test_killed_by_every_write_it_makes_each_object_once(
    space: Space, kubelet: Kubelet, perennial: Perennial, config: Path
) -> None:
    mortal: Perennial | None = None

    def kill() -> None:
        assert mortal
        mortal.kill()

    with _absent(perennial), Assassin(space.server, space.name, kill) as assassin:
        mortal = Perennial(space.server, perennial.identity, config, kubeconfig=assassin.kubeconfig)
        with mortal:
            for name in ("good", "bad"):
                space.train(name, backoffLimit=0, output={}, activeDeadlineSeconds=1000)
            reported, deadline = False, time.monotonic() + 300
            quiet = time.monotonic()
            # What is written after the last phase is to be died of, too.
            while not _ended(space, "good", "bad") or time.monotonic() - quiet < 5:
                assert time.monotonic() < deadline, Counter(assassin.victims)
                time.sleep(0.2)
                if mortal.ended():
                    mortal.__enter__()
                    quiet = time.monotonic()
                if not reported and len(space.every(JOBS)) == 2:
                    kubelet.publishes("good")
                    kubelet.fails("bad", 3)
                    reported = True
    space.idle(2)
    assert space.reaches("good", "Succeeded")["modelVersion"] == "churn-1"
    assert space.reaches("bad", "Failed")["failure"]["exitCode"] == 3
    made = Counter({what: count for what, count in space.requests().items() if what.startswith(("create", "delete"))})
    assert made == {
        "create persistentvolumeclaims": 1,
        "create jobs": 2,
        "create models": 1,
        "create modelversions": 1,
    }
    assert len(assassin.victims) == space.writes() >= 8, "it died of each"


@contextmanager
def _absent(perennial: Perennial) -> Iterator[None]:
    """Without the operator of the other tests, which is there again afterwards."""
    perennial.kill()
    try:
        yield
    finally:
        perennial.restart()


def _ended(space: Space, *names: str) -> bool:
    return {space.status(name)["phase"] for name in names} <= {"Succeeded", "Failed"}


@pytest.fixture
def second(controlled: ApiServer, config: Path, perennial: Perennial) -> Iterator[Perennial]:
    """Another replica, which stands by."""
    with Perennial(controlled, "perennial-1", config) as operator:
        eventually(lambda: operator.get("/healthz"), 20)
        yield operator
        operator.signal(signal.SIGTERM)
        assert operator.exit_code() == 0
    perennial.restart()


def test_two_operators_make_everything_once(
    space: Space, kubelet: Kubelet, perennial: Perennial, second: Perennial
) -> None:
    runs = [f"run-{number:02}" for number in range(12)]
    assert not second.leads()
    for number, name in enumerate(runs):
        space.train(name)
        if number == 6:
            perennial.signal(signal.SIGTERM)
    for name in runs:
        kubelet.publishes(name)
    assert perennial.exit_code() == 0
    eventually(second.leads)
    for name in runs:
        space.reaches(name, "Succeeded", 40)
    assert sorted(body["spec"]["version"] for body in space.every(MODELVERSIONS)) == list(range(1, 13))
    asked = space.requests()
    # A request whose sender went away may have been carried out, and is not told as done.
    assert len(space.every(JOBS)) == 12 >= asked["create jobs"]
    assert asked["create modelversions"] == 12
