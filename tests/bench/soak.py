"""`make soak`: an hour of trainings, rollouts and runs, all of which come and go, after which nothing may have grown.

What is there at any time stays the same, so what grows is kept by mistake: memory, tasks, watches, connections, keys.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from perennial.api.resources import MODELVERSIONS, RETRAINPOLICIES
from tests.bench import load
from tests.bench.scene import Scene, scene
from tests.kubelets import Kubelets, fated

PLACE = "soak"
MODELS = 8
# Seconds: a training begins, a finished one goes, old versions are deleted, a policy is asked, something is looked at.
TRAINS, GOES, TIDIES, ASKS, LOOKS = 0.5, 5, 5.0, 2.0, 5.0
KEPT = 3
# Until all that finished is gone and unused connections are closed.
RESTS = 30.0


@dataclass(frozen=True)
class Look:
    """What an operator was seen to hold."""

    memory: float
    tasks: float
    files: int
    queue: float
    cached: float


async def soak(stage: Scene, seconds: float) -> tuple[int, list[Look]]:
    """How many trainings there were, and what the operator held meanwhile; the last look is at rest again."""
    await stage.namespace(PLACE)
    looks: list[Look] = []
    async with Kubelets(stage.client, stage.credentials):
        for number in range(MODELS):
            await stage.client.create(load.modeldeployment(PLACE, number, number))
            await stage.client.create(_policy(number))
        parts = [_train(stage), _tidy(stage), _ask(stage), _look(stage, looks)]
        tasks = [asyncio.create_task(part) for part in parts]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        await asyncio.sleep(RESTS)
        looks.append(look(stage))
    return int(stage.operator.metric("perennial_trainingjobs_total")), looks


def look(stage: Scene) -> Look:
    """Now."""
    assert stage.operator.process
    files = len(os.listdir(f"/proc/{stage.operator.process.pid}/fd"))
    names = ("perennial_event_loop_tasks", "workqueue_depth", "perennial_cached_objects")
    tasks, queue, cached = (stage.operator.metric(name) for name in names)
    return Look(stage.rss, tasks, files, queue, cached)


def growth(looks: list[Look]) -> dict[str, float]:
    """What the last quarter of the time had more of than the second, on average; without the look at rest."""
    quarter = len(looks[:-1]) // 4
    second, last = looks[quarter : 2 * quarter], looks[-1 - quarter : -1]
    return {
        name: mean(asdict(one)[name] for one in last) - mean(asdict(one)[name] for one in second)
        for name in asdict(looks[0])
    }


async def _train(stage: Scene) -> None:
    for number in itertools.count():
        body = load.trainingjob(PLACE, number, ttlSecondsAfterFinished=GOES)
        body["spec"]["model"]["name"] = f"model-{number % MODELS:04}"
        await stage.client.create(body)
        await asyncio.sleep(TRAINS)


async def _ask(stage: Scene) -> None:
    for number in itertools.count():
        patch = {"metadata": {"annotations": {"perennial.dev/run-request": str(number)}}}
        await stage.client.patch(RETRAINPOLICIES, PLACE, f"keep-{number % MODELS:04}", patch)
        await asyncio.sleep(ASKS)


async def _tidy(stage: Scene) -> None:
    while True:
        await asyncio.sleep(TIDIES)
        versions = (await stage.client.list(MODELVERSIONS, PLACE, limit=0)).items
        of = defaultdict(list)
        for one in versions:
            of[one["spec"]["model"]].append((one["spec"]["version"], one["metadata"]["name"]))
        for found in of.values():
            for _, name in sorted(found)[:-KEPT]:
                await stage.client.delete(MODELVERSIONS, PLACE, name)


async def _look(stage: Scene, looks: list[Look]) -> None:
    while True:
        await asyncio.sleep(LOOKS)
        looks.append(await asyncio.to_thread(look, stage))


def _policy(number: int) -> dict[str, object]:
    body = load.retrainpolicy(PLACE, number, number)
    template = body["spec"]["trainingJobTemplate"]["spec"]
    template |= {"ttlSecondsAfterFinished": GOES}
    template["template"]["metadata"] = fated({"seconds": 0.5})
    body["spec"] |= {"concurrencyPolicy": "Allow", "unpromotedLimit": 1000}
    return body


async def main(seconds: float, folder: Path) -> None:
    async with scene(folder) as stage:
        stage.start()
        began = time.monotonic()
        trained, looks = await soak(stage, seconds)
        print(f"{trained} trainings in {time.monotonic() - began:.0f} s")
        step = max(1, len(looks) // 12)
        print(f"{'':>8}" + "".join(f"{name:>10}" for name in asdict(looks[0])))
        for index in [*range(0, len(looks) - 1, step), len(looks) - 1]:
            when = f"{(index + 1) * LOOKS:6.0f} s" if index < len(looks) - 1 else "at rest"
            print(f"{when:>8}" + "".join(f"{value:10.1f}" for value in asdict(looks[index]).values()))
        print(f"{'growth':>8}" + "".join(f"{value:10.1f}" for value in growth(looks).values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser("soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="how long (%(default)g)")
    given = parser.parse_args()
    if given.seconds < 8 * LOOKS:
        parser.error(f"--seconds: {8 * LOOKS:g} at least, or nothing can be compared")
    with tempfile.TemporaryDirectory(prefix="perennial-soak-") as scratch:
        asyncio.run(main(given.seconds, Path(scratch) / "server"))
