"""The node's own kubelet is frozen: what runs there goes on, the status says what is known, and all is well again."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.diary import SOON, Diary
from e2e.lab import Lab, condition
from e2e.space import Space, digits, serving
from e2e.store import Store
from perennial.api.base import parse_time
from tests.prove.report import Proof

SPACE = "e2e-node"


@contextmanager
def frozen(lab: Lab) -> Iterator[None]:
    """The kubelet of the cluster does not run until the end of the block."""
    words = (b"kubelet", str(lab.cluster.state).encode())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command.partition(b"\0")[0].endswith(words[0]) and words[1] in command:
            found.append(int(folder.name))
    if len(found) != 1:
        pytest.skip("the node's kubelet is not to be seen from here")
    os.kill(found[0], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found[0], signal.SIGCONT)


@pytest.mark.proof("Workload truth")
@pytest.mark.full
def test_a_frozen_kubelet_is_told_and_costs_nothing_when_it_comes_back(lab: Lab, store: Store, proof: Proof) -> None:
    space = Space(lab, SPACE)
    space.use(store)
    with Diary(lab, SPACE) as diary:
        space.apply(digits("first", c=1), serving("digits"))
        space.serves("digits", 1)
        space.apply(digits("held", held=True, backoffLimit=0))
        training = space.in_training("held")
        space.reaches("held", "Running")
        (served,) = space.every("pods", "perennial.dev/modeldeployment=digits")
        with frozen(lab):
            words = "is not ready since"
            said = space.says("trainingjob", "held", "Running", "True", words, 180)
            assert said["reason"] == "NodeNotReady"
            space.says("modeldeployment", "digits", "Ready", "False", words)
            for pod, kind, name, reason in (
                (training, "trainingjobs", "held", "NodeNotReady"),
                (served, "modeldeployments", "digits", "ReplicasNotReady"),
            ):
                now = space.get("pod", pod["metadata"]["name"])
                became = parse_time(condition(now, "Ready")["lastTransitionTime"]).timestamp()
                told = diary.said(kind, name, reason, words)
                assert told is not None
                assert told - became < SOON
            time.sleep(5)
        space.says("trainingjob", "held", "Running", "True", "Training")
        space.serves("digits", 1)
        assert (
            space.every("pods", "perennial.dev/modeldeployment=digits")[0]["metadata"]["uid"]
            == served["metadata"]["uid"]
        )
        space.let_go(training)
        status = space.finished("held")["status"]
    assert (status["phase"], len(status["attempts"])) == ("Succeeded", 1)
    proof.count("kubelets frozen")
