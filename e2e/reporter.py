"""A monitor inside the cluster's network that reports one sample after another, and counts what was acknowledged.

`python -m e2e.reporter TASK` reports (TASK is JSON) until SIGTERM, each time on a new connection.
"""

import asyncio
import json
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

EVERY = 0.2  # seconds
TIMEOUT = 5.0


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
