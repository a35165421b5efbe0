"""`make bench-servers`: the bundled server beside MLflow's own, on the same model in the same run, turn about."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from e2e.cluster.apiserver import free_ports
from tests.bench.measure import Result

# What `mlflow models serve` starts.
MLFLOW_APP = "mlflow.pyfunc.scoring_server.app:app"
ROUNDS, ONE_BY_ONE, SECONDS, AT_ONCE = 5, 300, 4.0, 16
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "PERENNIAL_HOST": "127.0.0.1", "PERENNIAL_MODEL_NAME": "digits"}


def saved(folder: Path) -> tuple[Any, Any]:
    """A classifier of digits as MLflow writes it; the model, and a row to ask it about."""
    os.environ.update(QUIET)
    import mlflow.sklearn

    rows, labels = load_digits(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(rows, labels)
    mlflow.sklearn.save_model(model, folder, serialization_format="skops", skops_trusted_types=["numpy.dtype"])
    return model, rows[:1]


@contextmanager
def served(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """A server as a process of its own."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **QUIET, **env}, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


async def ask(session: aiohttp.ClientSession, url: str, body: bytes) -> Any:
    """The predictions. ValueError for any other answer than a good one."""
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}: {text[:200]}")
        return json.loads(text)["predictions"]


async def ready(session: aiohttp.ClientSession, url: str, body: bytes) -> Any:
    """The first answer, when its model is loaded."""
    end = time.monotonic() + 60
    while True:
        try:
            return await ask(session, url, body)
        except (aiohttp.ClientError, ValueError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


async def one_by_one(session: aiohttp.ClientSession, url: str, body: bytes) -> list[float]:
    """Seconds of each of so many requests, one after the other on one connection."""
    took = []
    for _ in range(ONE_BY_ONE):
        began = time.perf_counter()
        await ask(session, url, body)
        took.append(time.perf_counter() - began)
    return took


async def at_once(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Requests per second, of so many clients that each ask without pause."""
    end, done = time.perf_counter() + SECONDS, 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await ask(session, url, body)
            done += 1

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return done / SECONDS


def by_itself(predict: Callable[[Any], Any], row: Any) -> float:
    """Seconds that the model itself takes."""
    took = []
    for _ in range(ONE_BY_ONE):
        began = time.perf_counter()
        predict(row)
        took.append(time.perf_counter() - began)
    return median(took)


async def main(folder: Path) -> Result:
    model, row = saved(folder / "model")
    body, ports = json.dumps({"inputs": np.asarray(row).tolist()}).encode(), free_ports(2)
    path = str(folder / "model")
    bundled = {"PERENNIAL_MODEL_DIR": path, "PERENNIAL_MODEL_FORMAT": "mlflow", "PERENNIAL_PORT": str(ports[0])}
    commands = {
        "bundled": ([sys.executable, "-m", "perennial.server"], bundled),
        "MLflow's": (
            [sys.executable, "-m", "uvicorn", f"--port={ports[1]}", "--no-access-log", MLFLOW_APP],
            {"__pyfunc_model_path__": path},
        ),
    }
    urls = dict(zip(commands, (f"http://127.0.0.1:{port}/invocations" for port in ports), strict=True))
    latencies: dict[str, list[float]] = {name: [] for name in commands}
    rates: dict[str, list[float]] = {name: [] for name in commands}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        with ExitStack() as stack:
            for name, (command, env) in commands.items():
                stack.enter_context(served(command, env, folder / name))
            said = [await ready(session, urls[name], body) for name in commands]
            assert said[0] == said[1] == model.predict(row).tolist(), said
            for number in range(ROUNDS):
                for name in list(commands)[:: 1 if number % 2 else -1]:
                    latencies[name] += await one_by_one(session, urls[name], body)
                    rates[name].append(await at_once(session, urls[name], body))
    alone = by_itself(model.predict, row)
    return {
        name: {
            "latency, median (ms)": median(took) * 1000,
            "latency, 99th percentile (ms)": sorted(took)[int(0.99 * len(took))] * 1000,
            "of it the model itself (ms)": alone * 1000,
            f"requests per second, {AT_ONCE} at once": median(rates[name]),
        }
        for name, took in latencies.items()
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as scratch:
        found = asyncio.run(main(Path(scratch)))
    names = list(found)
    print(f"{'':42}" + "".join(f"{name:>12}" for name in names))
    for row in found[names[0]]:
        print(f"{row:42}" + "".join(f"{found[name][row]:12.2f}" for name in names))
