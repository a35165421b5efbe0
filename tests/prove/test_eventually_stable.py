"""Eventually stable: whatever people, others and the weather did, the state matches the spec within 60 s of calm.

Schedules are made up by a hypothesis state machine, and played on a real API server, many at once. Every schedule that
ever failed is kept in `seeds.jsonl`, with a word on what it found, and is played first.
"""

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from tests.prove.machine import schedules
from tests.prove.player import Schedule
from tests.prove.report import FULL, Proof, scaled
from tests.prove.wave import Waves

SEEDS = Path(__file__).with_name("seeds.jsonl")
# So many schedules at once.
WAVE = 64
# A number that was printed plays the same schedules again.
NUMBER = "PERENNIAL_SCHEDULES"
IN_CI = 2


def kept() -> list[Schedule]:
    """The schedules that failed once."""
    return [json.loads(line)["schedule"] for line in SEEDS.read_text().splitlines()]


@pytest.mark.proof("Eventually stable")
async def test_after_the_faults_the_state_matches_the_spec_and_then_nothing_is_written(
    busy: ApiServer, config: Path, proof: Proof
) -> None:
    # CI plays the same ones each time; new ones are for the full proof to find.
    number = int(os.environ.get(NUMBER) or (random.randrange(2**32) if FULL else IN_CI))
    print(f"{NUMBER}={number}")
    plays = [*kept(), *schedules(scaled(1000, 12), number)]
    wrong: list[str] = []
    slowest = 0.0
    async with Waves(busy, config) as waves:
        for start in range(0, len(plays), WAVE):
            ends = await waves.play(plays[start : start + WAVE])
            for end in ends:
                if end.wrong:
                    lines = "\n  ".join(end.wrong)
                    wrong.append(f"{end.namespace}:\n  {lines}\n  {json.dumps({'schedule': end.schedule})}")
                    print(wrong[-1], flush=True)
            times = sorted(end.took for end in ends)
            slowest = max(slowest, times[-1])
            print(f"{start + len(ends)} of {len(plays)}: {times[len(times) // 2]:.1f} s, at most {times[-1]:.1f} s")
        proof.count("operators killed", waves.kills)
    proof.count("schedules", len(plays))
    verbs = Counter(verb for schedule in plays for _, verb, _ in schedule)
    proof.count("steps", verbs.total())
    proof.count("s to settle at most", round(slowest))
    assert not wrong, f"{len(wrong)} of {len(plays)}:\n" + "\n".join(wrong)
