"""`make bench-policies`: 1,000 policies that ask Prometheus each half a minute, what crosses, and what is reported."""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from aiohttp import web

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import DEPLOYMENTS, METRICSERIES, TRAININGJOBS
from perennial.metricseries.book import TIERS
from perennial.metricseries.bucket import read
from perennial.plan import Body
from tests.apiserver.operators import apply_kinds, eventually
from tests.apiserver.reporting import Place, Reporter, sample
from tests.bench import load
from tests.bench.measure import Result, settled
from tests.bench.scene import USER, WRITES, Scene, scene
from tests.kubelets import Kubelets
from tests.prove.ingesting import Ingesting, certificates

SPACE = "policies"
DEPLOYED, CROSSING = 20, 20
SENDERS, SAMPLES = 10, 1000
_GOOD, _BAD = 0.95, 0.5


class Prometheus:
    """Answers each query with one number, and counts them."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bad: set[str] = set()
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Prometheus"]:
        """While it lasts, at `url`."""
        application = web.Application()
        application.router.add_post("/api/v1/query", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        self.asked[query] += 1
        value = _BAD if query in self.bad else _GOOD
        result = [{"metric": {}, "value": [time.time(), str(value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


def query(number: int) -> str:
    """What the policy with its number asks."""
    return f'accuracy{{policy="{number}"}}'


def policy(number: int) -> Body:
    """One that asks Prometheus."""
    body = load.retrainpolicy(SPACE, number, number % DEPLOYED)
    body["spec"]["deployment"]["name"] = f"serve-{number % DEPLOYED:04}"
    metric = {"name": "accuracy", "below": 0.9, "source": {"prometheus": {"query": query(number)}}}
    body["spec"]["triggers"] = [{"name": "accuracy", "metric": metric}]
    return body


async def asking(stage: Scene, prometheus: Prometheus, policies: int, seconds: float) -> Result:
    """So many policies, of which nothing is to be done; then some of them cross."""
    await stage.namespace(SPACE)
    async with Kubelets(stage.client, stage.credentials):
        await load.create_all(stage.client, (load.modelversion(SPACE, n, 1) for n in range(DEPLOYED)))
        await load.create_all(stage.client, (load.modeldeployment(SPACE, n, n) for n in range(DEPLOYED)))
        await stage.until(lambda: stage.count(DEPLOYMENTS, SPACE), DEPLOYED)
        await settled(stage)
        await load.create_all(stage.client, (policy(n) for n in range(policies)))
        await stage.until(lambda: _asked(prometheus), policies)
        await asyncio.sleep(30)
        prometheus.asked.clear()
        stage.requests()
        stage.peak, cpu = stage.rss, stage.cpu
        memory = asyncio.create_task(stage.watch_memory())
        await asyncio.sleep(seconds)
        memory.cancel()
        asked = stage.requests()
        writes = sum(n for what, n in asked.items() if what.split()[0] in WRITES)
        reads = sum(n for what, n in asked.items() if what.split()[0] == "get")
        result: Result = {
            "policies": policies,
            "CPU (%)": (stage.cpu - cpu) / seconds * 100,
            "memory peak (MiB)": stage.peak,
            "queries per second": prometheus.asked.total() / seconds,
            "writes per minute": writes * 60 / seconds,
            "reads per minute": reads * 60 / seconds,
        }
        began = {number: time.monotonic() for number in range(CROSSING)}
        prometheus.bad = {query(number) for number in range(CROSSING)}
        took: dict[int, float] = {}
        while len(took) < CROSSING:
            found = await asyncio.to_thread(stage.server.request, "GET", TRAININGJOBS.path(SPACE))
            for body in found["items"]:
                number = int(body["metadata"]["name"].split("-")[1])
                took.setdefault(number, time.monotonic() - began[number])
            assert time.monotonic() < began[0] + 120, f"{len(took)} of {CROSSING}"
            await asyncio.sleep(0.2)
    return result | {
        "TrainingJob after a crossing: median (s)": median(took.values()),
        "longest (s)": max(took.values()),
    }


async def _asked(prometheus: Prometheus) -> int:
    return len(prometheus.asked)


async def reporting(folder: Path, seconds: float) -> Result:
    """As many samples as are taken, of accounts that each send as often as they may; all of them must be there."""
    with ApiServer(folder, users={USER: ["system:masters"]}) as server:
        apply_kinds(server)
        config = folder / "config.yaml"
        config.write_text("{}")
        home, place = Place(server), Place(server)
        place.deploy()
        answers: Counter[int] = Counter()
        with Ingesting(server, home, config, certificates(folder / "tls")) as operator:
            await asyncio.to_thread(eventually, operator.listens, 60)
            operator.ready()
            tokens = [place.reporter(f"monitor-{number}") for number in range(SENDERS)]
            end = time.monotonic() + seconds

            async def send(token: str) -> None:
                async with Reporter(operator.reports, operator.bundle, token) as reporter:
                    while time.monotonic() < end:
                        answer = await reporter.report(place, *[sample()] * SAMPLES)
                        answers[answer.status] += 1
                        await asyncio.sleep(0.1)

            await asyncio.gather(*(send(token) for token in tokens))
            series = server.request("GET", METRICSERIES.path(place.name, "churn"))["status"]["series"]
            kept = (bucket for row in series for tier in TIERS for bucket in map(read, row.get(tier.name) or ()))
            there = sum(bucket.count for bucket in kept if bucket)
    taken = answers[200] * SAMPLES
    return {
        "samples taken per second": taken / seconds,
        "reports taken per second": answers[200] / seconds,
        "reports told to wait": answers[429],
        "samples taken that are there (%)": there / taken * 100,
    }


async def main(arguments: argparse.Namespace, folder: Path) -> Result:
    """All of it."""
    prometheus = Prometheus()
    async with prometheus.serving():
        config = {"prometheusServers": {"default": {"url": prometheus.url}}}
        async with scene(folder / "policies", config=config) as stage:
            stage.start()
            result = await asking(stage, prometheus, arguments.policies, arguments.seconds)
    return result | await reporting(folder / "reports", 20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("bench-policies", description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=120, help="of the measurement (%(default)g)")
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as scratch:
        found = asyncio.run(main(parser.parse_args(), Path(scratch)))
    for name, value in found.items():
        print(f"{name:42} {value:10.4g}")
