"""The measurements: a burst beside bare Jobs, an idle minute, start-up, and memory with all kinds watched."""

import asyncio
import time
import urllib.error
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from perennial.api.resources import DEPLOYMENTS, JOBS, METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, TRAININGJOBS
from perennial.metricseries.series import Sample, fold
from tests.bench import load
from tests.bench.scene import WRITES, Scene, scene
from tests.kubelets import Kubelets

Result = dict[str, Any]
FIRST, RUNS, BARE = "first", "runs", "bare"
OF_OTHER_KINDS = 200
CROSSINGS = 20


async def burst(stage: Scene, size: int) -> Result:
    """So many TrainingJobs at once, then as many bare Jobs like theirs from the same client. The operator runs."""
    result = await trainings(stage, size)
    await stage.namespace(BARE)
    like = stage.server.request("GET", JOBS.path(RUNS, "run-0000"))
    stage.operator.kill()
    async with Kubelets(stage.client, stage.credentials):
        began = time.monotonic()
        making = asyncio.create_task(load.create_all(stage.client, (load.bare_job(like, BARE, n) for n in range(size))))
        result["bare Jobs (s)"] = await stage.until(lambda: stage.count(JOBS, BARE), size) - began
        await making
        result["bare Complete (s)"] = await stage.until(lambda: stage.complete(BARE), size, 0.5) - began
    stage.start()
    result["ratio of Jobs"] = result["all Jobs (s)"] / result["bare Jobs (s)"]
    result["ratio of Complete"] = result["all Complete (s)"] / result["bare Complete (s)"]
    return result


async def trainings(stage: Scene, size: int) -> Result:
    """So many TrainingJobs at once, to their end."""
    await stage.namespace(RUNS)
    # For some seconds the API server lets the first of a new kind wait.
    await stage.namespace(FIRST)
    await stage.client.create(load.trainingjob(FIRST, 0, suspend=True))
    await settled(stage)
    stage.requests()
    result: Result = {"size": size, "memory before (MiB)": stage.rss}
    stage.peak, cpu = stage.rss, stage.cpu
    memory = asyncio.create_task(stage.watch_memory())
    async with Kubelets(stage.client, stage.credentials):
        began = time.monotonic()
        making = asyncio.create_task(load.create_all(stage.client, (load.trainingjob(RUNS, n) for n in range(size))))
        making.add_done_callback(lambda _: result.update({"all TrainingJobs (s)": time.monotonic() - began}))
        result["all Jobs (s)"] = await stage.until(lambda: stage.count(JOBS, RUNS), size) - began
        result["operator CPU until then (s)"] = stage.cpu - cpu
        await making
        result["all Complete (s)"] = await stage.until(lambda: stage.complete(RUNS), size, 0.5) - began
        result["all ModelVersions (s)"] = await stage.until(lambda: stage.count(MODELVERSIONS, RUNS), size) - began
        await settled(stage)
        memory.cancel()
        result["operator CPU per run (ms)"] = (stage.cpu - cpu) / size * 1000
        result["memory peak (MiB)"], result["memory after (MiB)"] = stage.peak, stage.rss
        asked = stage.requests()
        phases = Counter(
            run["status"]["phase"] for run in stage.server.request("GET", TRAININGJOBS.path(RUNS))["items"]
        )
        assert phases == {"Succeeded": size}, phases
        result["writes per run"] = sum(n for what, n in asked.items() if what.split()[0] in WRITES) / size
        # Lists and watches of a whole kind go with time, not with runs.
        apart = ("list", "watch")
        result["reads per run"] = sum(n for what, n in asked.items() if what.split()[0] == "get") / size
        result["requests per run"] = {
            what: n / size for what, n in sorted(asked.items()) if what.split()[0] not in apart
        }
    return result


async def idle(stage: Scene, seconds: float) -> Result:
    """What the operator writes while nothing changes."""
    await settled(stage)
    stage.requests()
    cpu = stage.cpu
    await asyncio.sleep(seconds)
    asked = stage.requests()
    writes = sum(n for what, n in asked.items() if what.split()[0] in WRITES)
    return {"seconds": seconds, "writes": writes, "CPU (%)": (stage.cpu - cpu) / seconds * 100, "requests": dict(asked)}


async def all_kinds(stage: Scene, runs: int) -> Result:
    """Memory with ModelDeployments and RetrainPolicies beside the finished runs of a burst."""
    async with Kubelets(stage.client, stage.credentials):
        for make in (load.modeldeployment, load.retrainpolicy):
            await load.create_all(stage.client, (make(RUNS, n, n % runs) for n in range(OF_OTHER_KINDS)))
        await stage.until(lambda: stage.count(DEPLOYMENTS, RUNS), OF_OTHER_KINDS)
        await settled(stage)
        result: Result = {"memory (MiB)": stage.rss}
    stage.operator.kill()
    result["synced after (s)"] = stage.start()
    await settled(stage)
    return result | {"memory after a restart (MiB)": stage.rss}


async def rollouts(stage: Scene) -> Result:
    """A new version for every deployment at once, to the last promotion, and to the end of what it replaces."""
    stage.requests()
    stage.peak, cpu = stage.rss, stage.cpu
    memory = asyncio.create_task(stage.watch_memory())
    async with Kubelets(stage.client, stage.credentials):
        began = time.monotonic()
        await load.create_all(stage.client, (load.modelversion(RUNS, n, 2) for n in range(OF_OTHER_KINDS)))
        result: Result = {"deployments": OF_OTHER_KINDS}
        result["all promoted (s)"] = await stage.until(lambda: _serving(stage, 2), OF_OTHER_KINDS, 0.5) - began
        await settled(stage, 15)
    memory.cancel()
    asked = stage.requests()
    writes = sum(n for what, n in asked.items() if what.split()[0] in WRITES)
    return result | {
        "writes per rollout": writes / OF_OTHER_KINDS,
        "operator CPU per rollout (ms)": (stage.cpu - cpu) / OF_OTHER_KINDS * 1000,
        "memory peak (MiB)": stage.peak,
        "requests": {what: n / OF_OTHER_KINDS for what, n in sorted(asked.items()) if what.split()[0] in WRITES},
    }


async def _serving(stage: Scene, version: int) -> int:
    """How many deployments serve that version."""
    found = await asyncio.to_thread(stage.server.request, "GET", MODELDEPLOYMENTS.path(RUNS))
    served = [(body.get("status") or {}).get("modelVersion", "") for body in found["items"]]
    return sum(name.endswith(f"-{version}") for name in served)


async def crossings(stage: Scene) -> Result:
    """From the moment that a reported metric is written which crosses a policy's threshold, to its TrainingJob."""
    took = []
    for number in range(CROSSINGS):
        policy, deployment = f"keep-{number:04}", f"serve-{number:04}"
        served = stage.server.request("GET", MODELDEPLOYMENTS.path(RUNS, deployment))["status"]["stableRevision"]
        now = datetime.now(UTC)
        body = fold(None, [Sample("accuracy", 0.1, now.timestamp(), served, 500)], now)
        head = {"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind}
        began = time.monotonic()
        await stage.client.create({**head, "metadata": {"name": deployment, "namespace": RUNS}, **body})
        path = TRAININGJOBS.path(RUNS, f"{policy}-1")
        while True:
            with suppress(urllib.error.HTTPError):
                await asyncio.to_thread(stage.server.request, "GET", path)
                break
            assert time.monotonic() < began + 60, f"{policy} starts no run"
            await asyncio.sleep(0.02)
        took.append(time.monotonic() - began)
    return {"crossings": CROSSINGS, "median (s)": median(took), "longest (s)": max(took)}


async def start_up(folder: Path, objects: int) -> Result:
    """From the start of the process until everything is in its cache."""
    async with scene(folder, controllers=False) as stage:
        await stage.namespace(RUNS)
        await load.create_all(stage.client, (load.trainingjob(RUNS, n, suspend=True) for n in range(objects)))
        stage.start()
        await settled(stage, 5)
        stage.operator.kill()
        stage.requests()
        result: Result = {"objects": objects, "synced after (s)": stage.start()}
        await settled(stage, 5)
        asked = stage.requests()
        writes = sum(n for what, n in asked.items() if what.split()[0] in WRITES)
        return result | {"writes": writes, "memory (MiB)": stage.rss}


async def settled(stage: Scene, seconds: float = 3.0) -> None:
    """Wait until the operator has neither written nor worked for a while."""
    last, since = -1.0, time.monotonic()
    while time.monotonic() - since < seconds:
        now = stage.operator.metric("controller_runtime_reconcile_total")
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.5)
