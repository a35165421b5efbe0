"""A policy by schedule starts one run for each tick, whoever was killed in between; by hand, one for each request."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from e2e import audit, operators
from e2e.begun import EVERY_MINUTE as NAME
from e2e.lab import Body, Lab
from e2e.space import Space

# Ticks are a minute apart. On the API server, where a schedule may be stepped through, it is tested each time.
pytestmark = pytest.mark.full


@pytest.fixture
def space(scheduled: Space) -> Space:
    return scheduled


def test_each_tick_starts_one_run(space: Space, lab: Lab, began: float) -> None:
    def enough() -> Body | None:
        found = _status(space)
        return found if len(_ticks(found)) >= 3 else None

    space.until("three ticks came", enough, 240)
    space.kubectl("patch", "retrainpolicy", NAME, "--type=merge", '-p={"spec": {"suspend": true}}')
    status = space.until("its runs have ended", lambda: _ended(space))
    ticks = _ticks(status)
    missed = [skip["time"] for skip in status.get("skipped") or () if skip["reason"] == "Missed"]
    assert len(set(ticks)) == len(ticks), ticks
    # Whoever led at a tick, it was started, or, with the next one there already, recorded as missed.
    known = sorted(datetime.fromisoformat(tick) for tick in {*ticks, *missed})
    assert {later - earlier for earlier, later in pairwise(known)} == {timedelta(minutes=1)}, status
    jobs = [job["metadata"]["name"] for job in space.every("trainingjobs")]
    # The status remembers the last of them only.
    assert {run["trainingJob"] for run in status["runs"]} <= set(jobs)
    assert set(jobs) == {f"{NAME}-{number + 1}" for number in range(len(jobs))}
    assert sorted(audit.made(lab, operators.USER, began, space.name)["trainingjobs"]) == sorted(jobs)


def test_a_request_by_hand_starts_one_run(space: Space) -> None:
    space.kubectl("patch", "retrainpolicy", NAME, "--type=merge", '-p={"spec": {"suspend": false, "triggers": []}}')
    for _ in range(2):
        space.kubectl("annotate", "--overwrite", "retrainpolicy", NAME, "perennial.dev/run-request=monday")
        status = space.until("the run has ended", lambda: _ended(space) if _requested(space) else None)
    (run,) = _requested(space)
    assert status["runs"][0] == run
    assert (run["cause"]["request"], run["phase"]) == ("monday", "Rejected")
    assert status["lastRequest"] == "monday"


def _status(space: Space) -> Body:
    return dict((space.get("retrainpolicy", NAME) or {}).get("status") or {})


def _requested(space: Space) -> list[Body]:
    runs = _status(space).get("runs") or ()
    return [run for run in runs if run["cause"]["type"] == "Request"]


def _ticks(status: Body) -> list[str]:
    runs = status.get("runs") or ()
    return [run["cause"]["scheduledTime"] for run in runs if run["cause"]["type"] == "Schedule"]


def _ended(space: Space) -> Body | None:
    status = _status(space)
    return status if all(run.get("completionTime") for run in status.get("runs") or ()) else None
