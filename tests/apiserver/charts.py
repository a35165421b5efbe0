"""The chart on a real API server: helm, and requests as one of its users."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from e2e.cluster import tools
from e2e.cluster.apiserver import ADMIN, ApiServer, free_ports
from perennial.api.resources import DEPLOYMENTS
from perennial.plan import Body
from tests.apiserver.operators import Perennial

CHART = Path(__file__).parents[2] / "charts" / "perennial"
SYSTEM = "perennial-system"


def helm(server: ApiServer, *words: str, user: str = ADMIN) -> str:
    """Run helm as that user and return its output."""
    environment = os.environ | {
        "KUBECONFIG": str(server.kubeconfig_of(user)),
        "HELM_CACHE_HOME": str(server.folder / "helm"),
    }
    command = [str(tools.ensure("helm")["helm"]), *words]
    ran = subprocess.run(command, env=environment, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


class Deployed(Perennial):
    """The process that the chart's Deployment would start; it takes reports on the port `reports` of loopback."""

    def __init__(self, server: ApiServer, folder: Path, namespace: str = SYSTEM) -> None:
        self.account = f"system:serviceaccount:{namespace}:perennial"
        self._audit_log = server.audit_log
        self.reports = free_ports(1)[0]
        token = server.service_account_token(namespace, "perennial")
        path = f"/api/v1/namespaces/{namespace}/configmaps/perennial"
        config = folder / f"{namespace}.yaml"
        config.write_text(server.request("GET", path)["data"]["config.yaml"])
        kubeconfig = server.write_kubeconfig(namespace, token)
        super().__init__(server, f"{namespace}-0", config, kubeconfig=kubeconfig)
        deployment = server.request("GET", DEPLOYMENTS.path(namespace, "perennial"))
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        program, own = self._command[:3], self._command[3:]
        # The last of two equal arguments counts: paths and ports are of this machine.
        self._command = [
            *(*program, *container["args"], *own, "--namespace", namespace),
            *("--ingest-host", "127.0.0.1", "--ingest-name", "localhost", "--ingest-port", str(self.reports)),
        ]

    def requests(self) -> list[Body]:
        """What its account asked for, as the audit log has it."""
        lines = (json.loads(line) for line in self._audit_log.read_text().splitlines())
        return [line for line in lines if line["user"]["username"] == self.account]

    def forbidden(self) -> list[str]:
        """What it asked for and may not do."""
        return [
            f"{line['verb']} {line['requestURI']}"
            for line in self.requests()
            if line.get("responseStatus", {}).get("code") == 403
        ]


class Refused(Exception):
    """The server's words and the code of its refusal."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def send(
    server: ApiServer,
    method: str,
    path: str,
    body: Any = None,
    *,
    user: str = ADMIN,
    token: str | None = None,
    content_type: str = "application/json",
) -> Any:
    """One request as that user, or with that token; Refused when it is."""
    headers = {"Authorization": f"Bearer {token or server.token(user)}", "Content-Type": content_type}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=server.ca)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)["message"]) from None
