"""Soak: all comes and goes for a while, and nothing has grown. The hour is `make soak`."""

import asyncio
from pathlib import Path

import pytest

from tests.apiserver.operators import eventually
from tests.bench.scene import scene
from tests.bench.soak import growth, look, soak
from tests.prove.report import Proof, scaled

SECONDS = scaled(60, 40)
# MiB: what is remembered of what is gone has bounds, and comes near them in an hour.
MEMORY = 8.0


@pytest.mark.proof("Soak")
async def test_when_all_comes_and_goes_nothing_grows(tmp_path: Path, proof: Proof) -> None:
    async with scene(tmp_path / "server") as stage:
        stage.start()
        await asyncio.sleep(3)
        before = look(stage)
        trained, looks = await soak(stage, SECONDS)
        # A connection is closed when nobody used it for 15 s; they are used in turn, by about one request in a second.
        await asyncio.to_thread(eventually, lambda: look(stage).files <= before.files + 16, 60)
        after = look(stage)
    proof.count("s of soak", SECONDS)
    proof.count("trainings", trained)
    proof.count("KiB of growth in half the time", round(growth(looks)["memory"] * 1024))
    assert trained > SECONDS
    assert growth(looks)["memory"] < MEMORY, looks
    assert after.tasks <= before.tasks + 2, (before, after)
    assert after.queue == 0, after
