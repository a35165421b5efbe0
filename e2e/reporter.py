"""A monitor inside the cluster's network that reports one sample after another, and counts what was acknowledged.

`python -m e2e.reporter TASK` reports (TASK is JSON) until SIGTERM, each time on a new connection.
"""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from e2e.lab import ROOT, SYSTEM, Failed
from e2e.space import Space

SERVICE = "perennial"
EVERY = 0.2  # seconds
TRUST_EVERY = 3.0
TIMEOUT = 5.0


def monitor(space: Space) -> None:
    """A service account that may report metrics in this namespace."""
    space.kubectl("create", "serviceaccount", "monitor")
    space.kubectl("create", "role", "monitor", "--verb=create", "--resource=modeldeployments.perennial.dev/metrics")
    space.kubectl("create", "rolebinding", "monitor", "--role=monitor", f"--serviceaccount={space.name}:monitor")


@contextmanager
def reporting(
    space: Space, folder: Path, deployment: str, revision: str, value: float
) -> Iterator[Callable[[], dict[str, Any]]]:
    """The monitor reports an accuracy until the end of the block; gives what is acknowledged so far, as it wrote it."""
    lab = space.lab
    authorities, counts, log = folder / "ca.crt", folder / "acknowledged.json", folder / "reporter.log"

    def trusts() -> bool:
        found = space.get("configmap", "perennial-ca")
        if found:
            part = authorities.with_suffix(".part")
            part.write_text(found["data"]["ca.crt"])
            part.replace(authorities)
        return bool(found)

    def keep_trusting() -> None:
        """As the kubelet does with a mounted ConfigMap: whoever kills an operator beside us makes it have a new key."""
        while not ended.wait(TRUST_EVERY):
            with suppress(Failed):
                trusts()

    lab.until("there is a CA", trusts, 60)
    service = lab.get("service", SERVICE, SYSTEM) or {}
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    task = {
        "url": f"https://{address}:{port}/v1/namespaces/{space.name}/modeldeployments/{deployment}/metrics",
        "host": f"{SERVICE}.{SYSTEM}.svc",
        "ca": str(authorities),
        "token": space.kubectl("create", "token", "monitor", "--audience=perennial").strip(),
        "sample": {"name": "accuracy", "value": value, "revision": revision},
        "acknowledged": str(counts),
    }
    command = lab.cluster.exec_command([sys.executable, "-m", "e2e.reporter", json.dumps(task)])
    path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=output, stderr=output)
    ended, trusting = threading.Event(), threading.Thread(target=keep_trusting)
    trusting.start()
    try:
        lab.until("the monitor reports", counts.exists, 30, seen=log.read_text)
        yield lambda: dict(json.loads(counts.read_text()))
    finally:
        ended.set()
        trusting.join()
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def report(task: dict[str, Any]) -> None:
    """task: {url, host (the name in the certificate), ca (a file), token, sample, acknowledged (a file)}."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connector = aiohttp.TCPConnector(force_close=True)
    headers = {"Authorization": f"Bearer {task['token']}", "Host": task["host"]}
    times: list[float] = []
    words: list[str] = []
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT)
    ) as session:
        while not stop.is_set():
            body = {"samples": [task["sample"]]}
            try:
                # Each replica has a key of its own: a new one's CA comes while we run, as in a mounted ConfigMap.
                context = ssl.create_default_context(cafile=task["ca"])
                async with session.post(task["url"], json=body, ssl=context, server_hostname=task["host"]) as answer:
                    if answer.status == 200:
                        times.append(time.time())
                    else:
                        words.append(f"{answer.status}: {await answer.text()}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                words.append(f"{type(error).__name__}: {error}")
            write(Path(task["acknowledged"]), {"times": times, "words": words})
            await asyncio.sleep(EVERY)


def write(file: Path, found: Any) -> None:
    """Whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(file)


if __name__ == "__main__":
    asyncio.run(report(json.loads(sys.argv[1])))
