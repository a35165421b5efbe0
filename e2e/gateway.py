"""A gateway in the cluster: Traefik, with the Gateway API's own definitions. It routes by HTTPRoutes and Ingresses."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.cluster import images, tools
from e2e.lab import Body, Lab, is_true

NAME, NAMESPACE = "gateway", "gateway-system"
CLASS = "e2e"  # of Gateways, and of Ingresses


class Gateway:
    """One gateway, for routes of every namespace: a Deployment and a Service of the program's name."""

    program = "traefik"
    namespace = NAMESPACE
    manifest = Path(__file__).with_suffix(".yaml")

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def install(self) -> None:
        """Bring it into the cluster, and return when it takes requests."""
        self._lab.cluster.load([images.ensure(self.program)])
        self._lab.apply(self.manifest)
        self._lab.kubectl("rollout", "status", "-n", self.namespace, f"deployment/{self.program}", "--timeout=120s")
        self._lab.until("the gateway is programmed", self._programmed, 60, seen=self.log)

    @property
    def url(self) -> str:
        """Where it takes requests, inside the cluster's network: routes are told apart by the header Host."""
        service = self._lab.get("service", self.program, self.namespace) or {}
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def answers(self, host: str) -> bool:
        """Whether requests for a host get somewhere."""
        return self._asked(host).returncode == 0

    def answered_by(self, host: str, *headers: str) -> str:
        """The model's version that answers a request for a host, with these headers; empty when nobody does."""
        told = self._asked(host, *headers).stdout.lower()
        _, _, rest = told.partition("perennial-model-version:")
        return rest.split("\n")[0].strip()

    def _asked(self, host: str, *headers: str) -> subprocess.CompletedProcess[str]:
        sent = [word for header in (f"Host: {host}", *headers) for word in ("--header", header)]
        words = ["curl", "--silent", "--fail", "--dump-header", "-", "--output", "/dev/null", *sent, self.url]
        return self._lab.run(*self._lab.cluster.exec_command(words), check=False)

    def log(self) -> str:
        """What it said last."""
        where = ("-n", self.namespace, f"deployment/{self.program}")
        return self._lab.kubectl("logs", *where, "--all-containers", "--tail=25")

    def _programmed(self) -> bool:
        return is_true(self._lab.get("gateway", NAME, self.namespace), "Programmed")


def define(lab: Lab) -> None:
    """The kinds of the Gateway API, whether or not there will be a gateway."""
    definitions = tools.source("traefik", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    # Too large for the annotation that another apply would leave.
    lab.kubectl("apply", "--server-side", "-f", str(definitions))
    wait = ("kubectl", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    # One that was just made has no conditions at all, which is an error to it.
    lab.until("its kinds are known", lambda: lab.run(*wait, check=False).returncode == 0)


def route(name: str, host: str, weights: Mapping[str, int], port: int = 80, **rule: Any) -> Body:
    """An HTTPRoute of one rule, from the gateway to Services by weight. `rule`: more of the rule."""
    backends = [{"name": service, "port": port, "weight": weight} for service, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": NAME, "namespace": NAMESPACE}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends, **rule}],
        },
    }


def is_routed(route: Body | None) -> bool:
    """Whether the gateway took the route as it is now, and found everything that it names.

    Requests follow up to two seconds later.
    """
    parents = ((route or {}).get("status") or {}).get("parents") or ()
    generation = (route or {}).get("metadata", {}).get("generation")
    wanted = {("Accepted", "True", generation), ("ResolvedRefs", "True", generation)}
    return bool(parents) and all(wanted <= {*map(_said, parent["conditions"])} for parent in parents)


def _said(condition: Body) -> tuple[str, str, int]:
    return condition["type"], condition["status"], condition.get("observedGeneration", 0)
