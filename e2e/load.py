"""A steady load on a served model, from inside the cluster's network: half on kept-alive connections, half on fresh.

`python -m e2e.load TASK` sends (TASK is JSON) until SIGTERM and writes what it counted to a file, twice a second.
"""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp

from e2e.lab import ROOT, Failed, Lab

TIMEOUT = 5.0  # seconds; an answer that takes longer counts as a failure
_CONNECTIONS = 8
_SHOWN = 20


class Load:
    """A process that sends `rate` requests per second to `url` until it is stopped, as a context manager.

    url: one, or several in turn. body: sent by POST; without one it is a GET. host: whom the requests are for, when the
    URL does not say it. The counts are of the whole time so far.
    """

    def __init__(self, lab: Lab, folder: Path, *url: str, rate: int, body: Any = None, host: str = "") -> None:
        self._lab = lab
        self._counts = folder / "counts.json"
        self._log = folder / "load.log"
        headers = {"Host": host} if host else {}
        self._task = json.dumps(
            {"url": url, "rate": rate, "body": body, "headers": headers, "counts": str(self._counts)}
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = self._lab.cluster.exec_command([sys.executable, "-m", "e2e.load", self._task])
        with self._log.open("wb") as log:
            env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)])}
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self._lab.until("the load begins", lambda: self._counts.exists(), 30, seen=self._log.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def counts(self) -> dict[str, Any]:
        """{requests: {kept, fresh}, failures, words of the first, versions and revisions: answers of each, fresh: the
        same of versions by fresh connections only, slowest}."""
        assert self._process
        if self._process.poll() not in (None, 0):
            raise Failed(f"the load ended by itself: {self._log.read_text()}")
        found: dict[str, Any] = json.loads(self._counts.read_text())
        return found

    def sent(self) -> int:
        """How many requests were sent, and answered or not, until now."""
        return sum(self.counts()["requests"].values())

    def stop(self) -> dict[str, Any]:
        """Wait for the last answers and return the final counts."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(3 * TIMEOUT)
        return self.counts()


class _Sender:
    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._requests = {"kept": 0, "fresh": 0}
        self._failures: list[str] = []
        self._versions: dict[str, int] = {}
        self._fresh: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._slowest = 0.0
        self._stop = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with AsyncExitStack() as stack:
            made = []
            # Each session that keeps its connection holds another one, so that every pod has some.
            for _ in range(_CONNECTIONS):
                kept = aiohttp.TCPConnector(limit=0, keepalive_timeout=3600)
                fresh = aiohttp.TCPConnector(limit=0, force_close=True)
                for how, connector in (("kept", kept), ("fresh", fresh)):
                    session = aiohttp.ClientSession(connector=connector, timeout=timeout)
                    made.append((how, await stack.enter_async_context(session)))
            await self._answered(made[-1][1])
            group = await stack.enter_async_context(asyncio.TaskGroup())
            # Each of the URLs in turn with each session: in step with them, one would never see a fresh connection.
            turns = itertools.cycle(itertools.product(made, self._task["url"]))
            written, due = 0.0, time.monotonic()
            while not self._stop.is_set():
                (how, session), url = next(turns)
                group.create_task(self._ask(how, session, url))
                due += 1 / self._task["rate"]
                if time.monotonic() - written > 0.5:
                    self._write()
                    written = time.monotonic()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        self._write()

    async def _answered(self, session: aiohttp.ClientSession) -> None:
        """Wait until all of them take connections: nodes learn of a Service's first pod a moment after others do."""
        end = time.monotonic() + 20
        for url in self._task["url"]:
            while time.monotonic() < end:
                try:
                    async with session.get(url, headers=self._task["headers"]):
                        break
                except (aiohttp.ClientError, TimeoutError, OSError):
                    await asyncio.sleep(0.1)

    async def _ask(self, how: str, session: aiohttp.ClientSession, url: str) -> None:
        began = time.monotonic()
        method = "GET" if self._task["body"] is None else "POST"
        try:
            async with session.request(method, url, json=self._task["body"], headers=self._task["headers"]) as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise aiohttp.ClientError(f"{answer.status}: {text[:200]}")
                for found, header in ((self._versions, "Model-Version"), (self._revisions, "Revision")):
                    name = answer.headers[f"Perennial-{header}"]
                    found[name] = found.get(name, 0) + 1
                if how == "fresh":
                    version = answer.headers["Perennial-Model-Version"]
                    self._fresh[version] = self._fresh.get(version, 0) + 1
        except (aiohttp.ClientError, TimeoutError, KeyError, OSError) as error:
            words = f"{how}, after {time.monotonic() - began:.2f} s: {type(error).__name__}: {error}"
            self._failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {words}")
        self._requests[how] += 1
        self._slowest = max(self._slowest, time.monotonic() - began)

    def _write(self) -> None:
        found = {
            "requests": self._requests,
            "failures": len(self._failures),
            "words": self._failures[:_SHOWN],
            "versions": self._versions,
            "fresh": self._fresh,
            "revisions": self._revisions,
            "slowest": round(self._slowest, 3),
        }
        counts = Path(self._task["counts"])
        part = counts.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(counts)


if __name__ == "__main__":
    asyncio.run(_Sender(json.loads(sys.argv[1])).run())
