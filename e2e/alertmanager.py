"""A real Alertmanager inside the cluster's network, which is told of runs, and asks for them when an alert fires."""

import json
import subprocess
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from e2e.cluster import tools
from e2e.lab import Body, Lab

PORT = 9193


class Alertmanager:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def alerts(self) -> list[Body]:
        """Those that fire."""
        found: list[Body] = self._asked()
        return found

    def fire(self, **labels: str) -> None:
        """An alert, as Prometheus sends it."""
        self._asked([{"labels": labels}])

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            self._asked()
        except urllib.error.URLError:
            return False
        return True

    def _asked(self, body: object = None) -> list[Body]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/api/v2/alerts", data, {"Content-Type": "application/json"})
        # It is never far away: whatever proxy the environment names is not asked.
        with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
            said: list[Body] = json.loads(answer.read() or b"[]")
        return said


def address(lab: Lab) -> str:
    """Where it will answer."""
    return f"http://{lab.host}:{PORT}"


@contextmanager
def alertmanager(lab: Lab, folder: Path, webhook: Mapping[str, object]) -> Iterator[Alertmanager]:
    """One that POSTs what fires with the label `retrain` to a webhook, again and again. It is built when it is first
    started."""
    told = [{"receiver": "perennial", "matchers": ["retrain=~.+"]}]
    often = {"group_wait": "1s", "group_interval": "5s", "repeat_interval": "5s"}
    route: Body = {"receiver": "nobody", "group_by": ["alertname"], "routes": told, **often}
    receivers: list[Body] = [{"name": "nobody"}, {"name": "perennial", "webhook_configs": [webhook]}]
    config, log = folder / "alertmanager.yml", folder / "alertmanager.log"
    config.write_text(json.dumps({"route": route, "receivers": receivers}))
    words = [
        str(tools.ensure("alertmanager")["alertmanager"]),
        *(f"--config.file={config}", f"--storage.path={folder / 'data'}"),
        *(f"--web.listen-address={lab.host}:{PORT}", "--cluster.listen-address="),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(lab.cluster.exec_command(words), stdout=output, stderr=output)
    try:
        server = Alertmanager(address(lab))
        lab.until("Alertmanager answers", server.ready, 60, seen=log.read_text)
        yield server
    finally:
        process.terminate()
        process.wait(30)
