"""Requests with keys of many clients, from inside the cluster's network: which version answers whom.

`python -m e2e.keyed` reads a task (JSON), sends them, and writes the answers.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp

from e2e.lab import ROOT, Lab

_AT_ONCE = 8


def answers(lab: Lab, url: str, host: str, header: str, keys: Sequence[str], times: int) -> dict[str, list[str]]:
    """The versions that answer the requests with each of these keys, which is sent so many times."""
    task = {"url": url, "host": host, "header": header, "keys": list(keys), "times": times}
    source = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
    command = ["env", f"PYTHONPATH={source}", sys.executable, "-m", "e2e.keyed"]
    told = lab.run(*lab.cluster.exec_command(command), stdin=json.dumps(task)).stdout
    found: dict[str, list[str]] = json.loads(told)
    return found


async def _asked(task: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in task["keys"]}
    waiting = iter([key for _ in range(task["times"]) for key in task["keys"]])

    async def ask(session: aiohttp.ClientSession) -> None:
        for key in waiting:
            headers = {"Host": task["host"], task["header"]: key}
            async with session.get(task["url"], headers=headers, raise_for_status=True) as answer:
                found[key].append(answer.headers["Perennial-Model-Version"])

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(ask(session))
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_asked(json.load(sys.stdin)))))
