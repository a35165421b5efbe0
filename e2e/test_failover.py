"""The leader is lost over and over while the loop runs: killed, frozen, cut off from the API. Another one goes on."""

import itertools
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from e2e import audit, operators
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.reporter import reporting
from e2e.space import Space, shell, training
from tests.prove.report import FULL, Proof, scaled

Loss = Callable[[Lab, Body], AbstractContextManager[None]]
SORTS: dict[str, Loss] = {"killed": operators.killed, "frozen": operators.frozen, "cut off": operators.cut_off}
BOUND = 20.0  # seconds until a new leader acts
EVERY = 30.0  # seconds from one loss to the next
LATE = 5.0  # seconds in which a lost leader that is back may write what it had begun
BURST = 30  # objects that are being worked at when the leader is lost
# What every replica writes, whether it leads or not.
ANY_REPLICA = ("configmaps", "metricseries", "tokenreviews", "subjectaccessreviews")
NO_PODS: Body = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"pods": "0"}},
}
IMAGE: Body = {"inputs": [{"name": "image", "shape": [1, 64], "datatype": "FP64", "data": [0.0] * 64}]}


@dataclass
class Lost:
    """What became of one loss: seconds until another took the lease, and until it acted; what came late."""

    sort: str
    led: float
    acted: float
    refused: list[str]
    events: list[str]
    changed: list[str]


@pytest.fixture
def space(retraining: Space) -> Space:
    return retraining


@pytest.fixture(scope="module")
def held(lab: Lab) -> Space:
    """Where Jobs are made and get no pods: work for the operator, and for nobody else."""
    space = Space(lab, "e2e-failover-held")
    space.apply(NO_PODS)
    return space


@pytest.mark.proof("Failover")
def test_the_loop_goes_on_whoever_is_lost(
    space: Space, held: Space, lab: Lab, began: float, tmp_path: Path, proof: Proof
) -> None:
    # Who was killed before is started again later and later.
    operators.renew_standby(lab)
    space.serves("digits", 1)
    losses: list[Lost] = []
    with (
        Load(lab, tmp_path, f"{space.address('digits')}/v2/models/digits/infer", rate=5, body=IMAGE) as load,
        _loop(space, tmp_path) as loop,
    ):
        sorts = itertools.islice(itertools.cycle(SORTS), scaled(4 * len(SORTS), len(SORTS)))
        for number, sort in enumerate(sorts):
            since = time.monotonic()
            losses.append(_lose(held, number, sort))
            sys.stdout.write(f"{losses[-1]}\n")
            operators.renew_standby(lab)
            if FULL:
                time.sleep(max(0.0, since + EVERY - time.monotonic()))
        versions = loop()
    counts = load.counts()

    assert [loss for loss in losses if loss.changed] == []
    assert [loss for loss in losses if loss.acted > BOUND] == []
    assert counts["failures"] == 0, counts
    # One training for each cause, one version of each training, and one Deployment for each of them.
    runs = (space.get("retrainpolicy", "digits") or {})["status"]["runs"]
    assert [run["phase"] for run in runs] == ["Promoted"] * len(runs)
    made = audit.made(lab, operators.USER, began, space.name)
    assert made["trainingjobs"] == [f"digits-{number}" for number in range(1, versions)]
    assert made["jobs"] == ["first", *made["trainingjobs"]]
    assert made["modelversions"] == [f"digits-{number}" for number in range(1, versions + 1)]
    assert len(made["deployments"]) == versions

    for sort in SORTS:
        proof.count(f"leaders {sort}", sum(loss.sort == sort for loss in losses))
    proof.count("seconds at most until the next one acted", math.ceil(max(loss.acted for loss in losses)))
    proof.count("late writes refused", sum(len(loss.refused) for loss in losses))
    proof.count("late Events", sum(len(loss.events) for loss in losses))
    proof.count("late writes that changed anything", sum(len(loss.changed) for loss in losses))
    proof.count("retrainings promoted meanwhile", versions - 1)


def _lose(held: Space, number: int, sort: str) -> Lost:
    """Lose the leader in the middle of its work, and wait until that work is done by another."""
    lab = held.lab
    leader, signed = operators.leader(lab), operators.holder(lab)
    began = time.time()
    work = [training(_name(number, one), shell("true")) for one in range(BURST)]
    with _applied(held, work):
        held.until("the work is under way", lambda: held.get("trainingjob", _name(number, 0)), every=0.05)
        time.sleep(random.uniform(0, 1))
        lost = time.time()
        with SORTS[sort](lab, leader):
            next_one = operators.succeeded(lab, signed).rsplit("_", 1)[0]
            taken = operators.acquired(lab)
            held.until("the work is done", lambda: _done(held, number))
    back = time.time()
    time.sleep(LATE)
    made = Counter(audit.made(lab, operators.USER, began, held.name)["jobs"])
    assert made == Counter(_name(number, one) for one in range(BURST))
    held.kubectl("delete", "trainingjobs", "--all", "--wait=false")

    writes = [
        entry
        for entry in audit.writes(lab, operators.USER, lost)
        if entry["objectRef"]["resource"] not in ANY_REPLICA and audit.at(entry) < back + LATE
    ]
    acted = next(audit.at(entry) for entry in writes if _acts(entry, next_one) and audit.at(entry) > taken)
    # Who was killed is back as soon as the lease has run out, and may be the one that takes it.
    assert sort == "killed" or next_one != leader["metadata"]["name"]
    found = Lost(sort, taken - lost, acted - lost, [], [], [])
    if next_one != leader["metadata"]["name"]:
        late = [one for one in writes if audit.replica(one) == leader["metadata"]["name"] and audit.at(one) > taken]
        for entry in late:
            is_event = entry["objectRef"]["resource"] == "events"
            kind = found.refused if audit.refused(entry) else found.events if is_event else found.changed
            kind.append(f"{audit.asked(entry)} {entry['objectRef'].get('name', '')}")
    return found


def _acts(entry: Body, replica: str) -> bool:
    return audit.replica(entry) == replica and entry["objectRef"]["resource"] != "leases" and not audit.refused(entry)


def _name(number: int, one: int) -> str:
    return f"loss-{number}-{one}"


def _done(held: Space, number: int) -> bool:
    jobs = {job["metadata"]["name"]: job for job in held.every("trainingjobs")}
    found = [jobs.get(_name(number, one), {}) for one in range(BURST)]
    return all("pods" in json.dumps(job.get("status", {}).get("conditions", "")) for job in found)


@contextmanager
def _applied(held: Space, bodies: list[Body]) -> Iterator[None]:
    """The objects are applied, one after another, beside the block; at its end all of them are."""
    listed = {"apiVersion": "v1", "kind": "List", "items": bodies}
    command = ["kubectl", "-n", held.name, "apply", "-f", "-"]
    with subprocess.Popen(command, env=held.lab.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        process.stdin.write(json.dumps(listed).encode())
        process.stdin.close()
        yield
    assert process.returncode == 0


@contextmanager
def _loop(space: Space, folder: Path) -> Iterator[Callable[[], int]]:
    """Serve, report, retrain, serve the new version, and again. What is given ends it, and returns the last version."""
    stop = Event()

    def turn() -> int:
        version = 1
        while not stop.is_set():
            _retrain(space, folder, version)
            version += 1
        space.serves("digits", version)
        return version

    turning: Future[int] = ThreadPoolExecutor(1).submit(turn)

    def end() -> int:
        stop.set()
        return turning.result(300)

    try:
        yield end
    finally:
        stop.set()


def _retrain(space: Space, folder: Path, version: int) -> None:
    deployment = space.serves("digits", version)
    with reporting(space, folder, "digits", deployment["status"]["stableRevision"], 0.5) as acknowledged:
        space.until(f"run {version} is started", lambda: acknowledged() and _run(space, version), 120)
    space.until(f"version {version + 1} is promoted", lambda: _run(space, version, "Promoted"))


def _run(space: Space, number: int, phase: str = "") -> Body | None:
    runs = ((space.get("retrainpolicy", "digits") or {}).get("status") or {}).get("runs") or ()
    return next((one for one in runs if one["number"] == number and one["phase"].startswith(phase)), None)
