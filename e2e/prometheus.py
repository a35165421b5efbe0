"""A real Prometheus server inside the cluster's network, which finds the pods of Perennial's deployments by itself."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from e2e.cluster import tools
from e2e.lab import SYSTEM, Body, Lab

PORT = 9190
_POD = "__meta_kubernetes_pod"
# Text without a type is what the smallest servers answer.
_SCRAPED: Body = {"scrape_interval": "1s", "fallback_scrape_protocol": "PrometheusText0.0.4"}


class Prometheus:
    """One server; its data lies in a folder. It is built, some minutes, when it is first started."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._lab.host}:{PORT}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        config = self._folder / "prometheus.yml"
        config.write_text(json.dumps({"scrape_configs": [self._scraped(), self._operator()]}))
        words = [
            str(tools.ensure("prometheus")["prometheus"]),
            *(f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}"),
            f"--web.listen-address={self._lab.host}:{PORT}",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._lab.cluster.exec_command(words), stdout=log, stderr=log)
        self._lab.until("Prometheus answers", self._ready, 60, seen=self._log.read_text)

    def stop(self) -> None:
        """End it; connections are refused from now on."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)

    def values(self, query: str) -> list[float]:
        """What an expression gives now, a number for each series. ValueError with its words when it is refused."""
        words = urllib.parse.urlencode({"query": query})
        try:
            with _direct().open(f"{self.url}/api/v1/query?{words}", timeout=10) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{query}: {error.read().decode()}") from None
        return [float(one["value"][1]) for one in data["result"]]

    def _operator(self) -> Body:
        """The operator's own replicas."""
        finds: Body = {
            "role": "pod",
            "kubeconfig_file": str(self._lab.cluster.kubeconfig),
            "namespaces": {"names": [SYSTEM]},
        }
        port: Body = {"source_labels": [f"{_POD}_container_port_name"], "regex": "health", "action": "keep"}
        return {"job_name": "perennial", "kubernetes_sd_configs": [finds], "relabel_configs": [port]} | _SCRAPED

    def _scraped(self) -> Body:
        """The pods of every deployment, as its documentation says to find them; each series says of which revision."""
        finds: Body = {"role": "pod", "kubeconfig_file": str(self._lab.cluster.kubeconfig)}
        relabel: list[Body] = [
            {"source_labels": [f"{_POD}_labelpresent_perennial_dev_revision"], "regex": "true", "action": "keep"},
            {"source_labels": [f"{_POD}_container_port_name"], "regex": "http", "action": "keep"},
            {"source_labels": [f"{_POD}_label_perennial_dev_revision"], "target_label": "revision"},
        ]
        return {"job_name": "pods", "kubernetes_sd_configs": [finds], "relabel_configs": relabel} | _SCRAPED

    def _ready(self) -> bool:
        try:
            with _direct().open(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False


def _direct() -> urllib.request.OpenerDirector:
    """It is never far away: whatever proxy the environment names is not asked."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
