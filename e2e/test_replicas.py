"""Two replicas: one leads, both take samples; when the leader is gone, another leads, and no sample waits for it."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from e2e import operators
from e2e.lab import Lab
from e2e.reporter import monitor, reporting
from e2e.space import Space, serving, shell, training


@pytest.fixture(scope="module")
def space(lab: Lab) -> Space:
    """A deployment that somebody may report metrics of."""
    space = Space(lab, "e2e-replicas")
    space.apply(serving("watched"))
    monitor(space)
    return space


def test_another_leads_and_samples_are_taken_all_the_while(space: Space, lab: Lab, tmp_path: Path) -> None:
    operators.ready(lab)
    with reporting(space, tmp_path, "watched", "watched-1", 0.9) as acknowledged:
        space.until("samples are taken", lambda: len(acknowledged()["times"]) >= 10, 60)
        killed = time.time()
        signed = operators.kill_leader(lab)
        space.apply(training("meanwhile", shell("echo weights > $PERENNIAL_OUTPUT_DIR/weights.txt")))
        operators.succeeded(lab, signed)
        taken_over = time.time()
        space.until("samples are taken after it, too", lambda: max(acknowledged()["times"]) > taken_over + 2, 60)
        operators.ready(lab)
    assert space.finished("meanwhile")["status"]["phase"] == "Succeeded"

    times = acknowledged()["times"]
    # A report that is sent to the dead one fails, and so does one to its successor, until its CA is known.
    pauses = [later - earlier for earlier, later in pairwise(times) if later > killed]
    assert max(pauses) < 10, acknowledged()["words"]
    assert sum(killed < at < taken_over for at in times) >= 5, acknowledged()["words"]
    assert _counted(space) >= len(times)


def _counted(space: Space) -> int:
    """All samples that the record of the deployment holds."""
    rows = (space.get("metricseries", "watched") or {})["status"]["series"]
    lines = [line for row in rows for tier in ("minutes", "quarters", "days") for line in row.get(tier, ())]
    return sum(int(line.split(" ")[1]) for line in lines)
