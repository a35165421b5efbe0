"""Stale and unobserved: names change hands while the operator is told late, or of what was: it harms nobody by it.

No wrongful delete, no adoption of an object of another owner or uid, no second training: the oracle of the schedules
holds that, for every object that ever was.
"""

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from tests.prove.player import Schedule, Step
from tests.prove.report import FULL, Proof, scaled
from tests.prove.wave import Waves

# So many schedules at once.
WAVE = 40
# A number that was printed plays the same schedules again.
NUMBER = "PERENNIAL_STALE"
IN_CI = 3268655832
KEPT = (1, 2)
FATES = ([{"seconds": 1.2}], [{"exit": -1}], [{"seconds": 1.2, "exit": 3}])
SPEC = {"backoffLimit": 0}


def old(chance: random.Random) -> list[Step]:
    """What is listed is of before; sometimes by an operator that knows nothing else."""
    steps: list[Step] = [(0.0, "stale", {"seconds": chance.uniform(3, 6)})]
    return steps + ([(0.2, "kill", {})] if chance.random() < 0.5 else [])


def held(chance: random.Random) -> list[Step]:
    """What happens is told late, in another order, or not at all."""
    sort = chance.choice(("delay", "delay", "reorder", "drop"))
    return [(0.0, "muddle", {"sort": sort, "rate": 1.0, "seconds": chance.uniform(2, 5)})]


def _again(chance: random.Random, *between: Step) -> list[Step]:
    """A TrainingJob and its namesake."""
    train = (_pause(chance), "train", {"name": "t1", "fates": chance.choice(FATES), **SPEC})
    return [(_pause(chance), "remove", {"kind": "TrainingJob", "name": "t1"}), *between, train]


def _exchange(chance: random.Random) -> list[Step]:
    """One name that changes hands: to a namesake, or to somebody else."""
    pause, number = _pause(chance), chance.randint(1, 2)
    version = {"number": number, "f1": 0.9, "loads": True}
    return chance.choice(
        (
            _again(chance),
            _again(chance, (0.0, "take", {"kind": "Job", "name": "t1"})),
            [
                (pause, "take", {"kind": "Job", "name": "t1"}),
                (0.0, "occupy", {"kind": "Job", "name": "t1"}),
            ],
            [
                (pause, "remove", {"kind": "ModelDeployment", "name": "churn"}),
                (_pause(chance), "deploy", {"name": "churn", "replicas": chance.randint(1, 2)}),
            ],
            [(pause, "take", {"kind": "Deployment", "name": "churn"})],
            [
                (pause, "remove", {"kind": "ModelDeployment", "name": "second"}),
                (0.0, "occupy", {"kind": "Service", "name": "second"}),
                (_pause(chance), "deploy", {"name": "second"}),
            ],
            [
                (pause, "remove", {"kind": "RetrainPolicy", "name": "p1"}),
                (_pause(chance), "policy", {"name": "p1", "fates": chance.choice(FATES)}),
                (_pause(chance), "ask", {"name": "p1"}),
            ],
            [(pause, "ask", {"name": "p1"})],
            [
                (pause, "remove", {"kind": "ModelVersion", "name": f"churn-{number}"}),
                (_pause(chance), "version", version),
            ],
            [(pause, "remove", {"kind": "Model", "name": "churn"})],
        )
    )


def _pause(chance: random.Random) -> float:
    return chance.choice((0.0, 0.0, 0.2, 0.7, 1.5))


def schedule(number: int) -> Schedule:
    """The same for the same number: of old snapshots if it is even, of held events if it is odd."""
    chance = random.Random(number)
    steps: Schedule = [
        (0.0, "version", {"number": 1, "f1": 0.9, "loads": True}),
        (0.0, "deploy", {"name": "churn", "replicas": 1}),
        (0.0, "train", {"name": "t1", "fates": chance.choice(FATES), **SPEC}),
        (0.0, "policy", {"name": "p1", "fates": chance.choice(FATES)}),
        (chance.uniform(0, 3), "ask", {"name": "p1"}),
    ]
    for _ in range(6):
        steps += (held if number % 2 else old)(chance)
        steps += _exchange(chance)
    return steps


@pytest.mark.proof("Stale and unobserved")
async def test_whoever_is_told_late_or_of_what_was_harms_nobody(busy: ApiServer, config: Path, proof: Proof) -> None:
    # CI plays the same ones each time; new ones are for the full proof to find.
    first = int(os.environ.get(NUMBER) or (random.randrange(2**32) if FULL else IN_CI))
    print(f"{NUMBER}={first}")
    numbers = [*KEPT, *range(first, first + scaled(400, 20))]
    wrong: list[str] = []
    async with Waves(busy, config) as waves:
        for start in range(0, len(numbers), WAVE):
            plays = {number: schedule(number) for number in numbers[start : start + WAVE]}
            for end in await waves.play(list(plays.values())):
                if end.wrong:
                    number = next(number for number, one in plays.items() if one is end.schedule)
                    lines = "\n  ".join(end.wrong)
                    wrong.append(f"{NUMBER}={number}:\n  {lines}\n  {json.dumps(end.schedule)}")
                    print(wrong[-1], flush=True)
            print(f"{start + len(plays)} of {len(numbers)}: {len(wrong)} wrong", flush=True)
    for sort, count in Counter("held events" if number % 2 else "old snapshots" for number in numbers).items():
        proof.count(f"schedules of {sort}", count)
    proof.count("operators killed", waves.kills)
    assert not wrong, f"{len(wrong)} of {len(numbers)}:\n" + "\n".join(wrong)
