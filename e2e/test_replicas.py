"""Two replicas: one leads, both take samples; when the leader is gone, the other leads, and no sample waits for it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2e import operators
from e2e.lab import ROOT, SYSTEM, Body, Lab
from e2e.space import Space, serving, shell, training

SERVICE = "perennial"


@pytest.fixture(scope="module")
def space(lab: Lab) -> Space:
    """A deployment that somebody may report metrics of."""
    space = Space(lab, "e2e-replicas")
    space.apply(serving("watched"))
    space.kubectl("create", "serviceaccount", "monitor")
    space.kubectl("create", "role", "monitor", "--verb=create", "--resource=modeldeployments.perennial.dev/metrics")
    space.kubectl("create", "rolebinding", "monitor", "--role=monitor", f"--serviceaccount={space.name}:monitor")
    return space


def test_the_other_leads_and_samples_are_taken_all_the_while(space: Space, lab: Lab, tmp_path: Path) -> None:
    operators.ready(lab)
    with _reporter(space, tmp_path) as acknowledged:
        space.until("samples are taken", lambda: len(acknowledged()["times"]) >= 10, 60)
        first = operators.leader(lab)
        killed = time.time()
        signed = operators.kill_leader(lab)
        space.apply(training("meanwhile", shell("echo weights > $PERENNIAL_OUTPUT_DIR/weights.txt")))
        operators.succeeded(lab, signed)
        taken_over = time.time()
        space.until("samples are taken after it, too", lambda: max(acknowledged()["times"]) > taken_over + 2, 60)
        operators.ready(lab)
    assert not operators.holder(lab).startswith(first["metadata"]["name"])
    assert space.finished("meanwhile")["status"]["phase"] == "Succeeded"

    times = acknowledged()["times"]
    # A report that is sent to the dead one fails, and so does one to its successor, until its CA is known.
    pauses = [later - earlier for earlier, later in pairwise(times) if later > killed]
    assert max(pauses) < 10, acknowledged()["words"]
    assert sum(killed < at < taken_over for at in times) >= 5, acknowledged()["words"]
    assert _counted(space) >= len(times)


@contextmanager
def _reporter(space: Space, folder: Path) -> Iterator[Any]:
    """Reports until the end of the block; gives what is acknowledged so far, as the reporter wrote it."""
    lab = space.lab
    authorities = folder / "ca.crt"

    def trusts() -> bool:
        found = space.get("configmap", "perennial-ca")
        if found:
            part = authorities.with_suffix(".part")
            part.write_text(found["data"]["ca.crt"])
            part.replace(authorities)
        return bool(found)

    def acknowledged() -> Any:
        trusts()
        return json.loads(counts.read_text())

    lab.until("there is a CA", trusts, 60)
    service = lab.get("service", SERVICE, SYSTEM) or {}
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    counts, log = folder / "acknowledged.json", folder / "reporter.log"
    task: Body = {
        "url": f"https://{address}:{port}/v1/namespaces/{space.name}/modeldeployments/watched/metrics",
        "host": f"{SERVICE}.{SYSTEM}.svc",
        "ca": str(authorities),
        "token": space.kubectl("create", "token", "monitor", "--audience=perennial").strip(),
        "sample": {"name": "accuracy", "value": 0.9, "revision": "watched-1"},
        "acknowledged": str(counts),
    }
    command = lab.cluster.exec_command([sys.executable, "-m", "e2e.reporter", json.dumps(task)])
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output)
    try:
        lab.until("the monitor reports", counts.exists, 30, seen=log.read_text)
        yield acknowledged
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _counted(space: Space) -> int:
    """All samples that the record of the deployment holds."""
    rows = (space.get("metricseries", "watched") or {})["status"]["series"]
    lines = [line for row in rows for tier in ("minutes", "quarters", "days") for line in row.get(tier, ())]
    return sum(int(line.split(" ")[1]) for line in lines)
