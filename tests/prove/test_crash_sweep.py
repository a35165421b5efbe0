"""Crash sweep: killed after any write of any workload, the operator ends where it would have ended.

Killed means SIGKILL once the server accepted the write, before its answer arrives: for what lies in the cluster that is
the same as after the answer, and harder on the operator, which never learns of it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.kube import login
from perennial.plan import Body
from tests.kubelets import KubeletsThread
from tests.prove.compare import differences, state
from tests.prove.lane import Crash, Lane
from tests.prove.report import FULL, Proof
from tests.prove.workloads import WORKLOADS

CONFIG: Body = {}
LANES = 2 * (os.cpu_count() or 2)
# In CI only every so manieth write of a workload is died of; which, moves from workload to workload.
STRIDE = 1 if FULL else 6
# Waits for the next minute: in full only.
SLOW = ("scheduled run",)


@pytest.fixture(scope="module")
def played(controlled: ApiServer) -> Iterator[ApiServer]:
    """The server, with all its pods played."""
    with KubeletsThread(login.load(str(controlled.kubeconfig))):
        yield controlled


def run(server: ApiServer, name: str, at: int = 0) -> tuple[dict[str, Body], Counter[str], int, str]:
    """Play a workload, killed at one write; the end state, what was made, how many writes, and of which it died."""
    crash = Crash(at)
    with Lane(server, CONFIG, crash) as lane:
        crash.lane = lane
        try:
            WORKLOADS[name](lane)
            lane.quiet()
        except AssertionError as error:
            raise AssertionError(f"{name}, killed at write {at} ({crash.died}): {error}") from error
        return state(lane.space), lane.made(), len(lane.proxy.writes), str(crash.died)


@pytest.mark.proof("Crash sweep")
def test_killed_after_any_write_it_ends_where_it_would_have_ended(
    played: ApiServer, proof: Proof, tmp_path: Path
) -> None:
    names = [name for name in WORKLOADS if FULL or name not in SLOW]
    wrong: list[str] = []
    with ThreadPoolExecutor(LANES) as pool:
        plain = dict(zip(names, pool.map(lambda name: run(played, name), names), strict=True))
        futures = {
            pool.submit(run, played, name, at): (name, at)
            for place, name in enumerate(names)
            for at in range(1 + place % STRIDE, plain[name][2] + 1, STRIDE)
        }
        for future in as_completed(futures):
            name, at = futures[future]
            expected, made, _, _ = plain[name]
            try:
                found, found_made, _, died = future.result()
            except AssertionError as error:
                wrong.append(str(error))
                continue
            lines = differences(expected, found)
            if made != found_made:
                lines.append(f"made: expected {made - found_made} more, found {found_made - made} more")
            if lines:
                wrong.append(f"{name}, killed at write {at} ({died}):\n  " + "\n  ".join(lines[:20]))
            assert died != "None", f"{name} has no write {at}"
            proof.count("writes killed at")
    proof.count("workloads", len(names))
    assert not wrong, f"{len(wrong)} of {len(futures)}:\n" + "\n".join(wrong)
