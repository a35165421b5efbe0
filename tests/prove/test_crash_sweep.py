"""Crash sweep: killed after any write of any workload, the operator ends where it would have ended.

Killed means SIGKILL once the server accepted the write, before its answer arrives: for what lies in the cluster that is
the same as after the answer, and harder on the operator, which never learns of it.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.plan import Body
from tests.prove.compare import differences, state
from tests.prove.lane import PATIENCE, Crash, Lane
from tests.prove.report import FULL, Proof
from tests.prove.workloads import WORKLOADS

CONFIG: Body = {}
# Most of the time they wait: for pods, and for each other.
LANES = 6 + 6 * len(os.sched_getaffinity(0))
# What CI plays, each killed after every so manieth of its writes, not all of them after the first.
PART = ("train and succeed", "train fail retry fail", "suspend and resume", "metric trigger", "manual approval")
STRIDE = 1 if FULL else 5
SETTLED = 60.0
# In one play: what is done after the first is as good a moment for the next.
DEATHS = 8
# Seconds of a start, when all lanes start anew at the same time.
START = 30.0


@dataclass
class End:
    """How a workload ended: what is there, what the operator created and deleted, and how often it wrote."""

    state: dict[str, Body]
    made: Counter[str]
    writes: int

    def unlike(self, other: "End") -> list[str]:
        """What is different in another end, in words."""
        lines = differences(self.state, other.state)
        if self.made != other.made:
            lines.append(f"made: expected {self.made - other.made} more, found {other.made - self.made} more")
        return lines


def undisturbed(server: ApiServer, name: str) -> End:
    """Play a workload to its end."""
    with Lane(server, CONFIG) as lane:
        WORKLOADS[name](lane)
        lane.quiet(5)
        return End(state(lane.space), lane.made(), len(lane.proxy.writes))


def killed(server: ApiServer, name: str, at: Sequence[int], expected: End) -> tuple[int, list[str]]:
    """Play a workload, killed at some writes: how many of them it came to, and how it ended otherwise than expected."""
    crash = Crash(*at)
    with Lane(server, CONFIG, crash, PATIENCE + START * len(at)) as lane:
        crash.lane = lane
        deadline = time.monotonic()
        try:
            WORKLOADS[name](lane)
            deadline = time.monotonic() + SETTLED
            lane.quiet()
            while True:
                end = End(state(lane.space), lane.made(), len(lane.proxy.writes))
                lines = expected.unlike(end)
                if not lines or time.monotonic() > deadline:
                    break
                time.sleep(1)
        except AssertionError as error:
            lines = [str(error)]
    where = ", ".join(f"{write.number} ({write})" for write in crash.died)
    return len(crash.died), [f"{name}, killed at write {where}, {line}" for line in lines[:10]]


def in_turns(writes: Sequence[int]) -> list[Sequence[int]]:
    """Every write once, `DEATHS` of them in one play, as far from each other as they can be."""
    plays = math.ceil(len(writes) / DEATHS)
    return [writes[first::plays] for first in range(plays)]


@pytest.mark.alone
@pytest.mark.proof("Crash sweep")
def test_killed_after_any_write_it_ends_where_it_would_have_ended(played: ApiServer, proof: Proof) -> None:
    names = list(WORKLOADS) if FULL else PART
    wrong: list[str] = []
    with ThreadPoolExecutor(LANES) as pool:
        ends = dict(zip(names, pool.map(lambda name: undisturbed(played, name), names), strict=True))
        writes = {name: range(1 + place % STRIDE, ends[name].writes + 1, STRIDE) for place, name in enumerate(names)}
        deaths = [pool.submit(killed, played, name, at, ends[name]) for name in names for at in in_turns(writes[name])]
        for death in as_completed(deaths):
            # How often a status is written on the way hangs on the moment: the last of them may not come.
            died, lines = death.result()
            proof.count("writes killed at", died)
            if lines:
                wrong += lines
                print(*lines, sep="\n", flush=True)
    proof.count("workloads", len(names))
    wanted = sum(map(len, writes.values()))
    # Of few a part says little: of each workload the last may not come.
    assert proof.counts["writes killed at"] >= min(0.9 * wanted, wanted - len(names))
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong)
