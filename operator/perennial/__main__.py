"""Wiring: reads the arguments and the configuration, and runs the operator with its controllers."""

import argparse
import asyncio
import gc
import os
import socket
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from perennial import app, config
from perennial.controllers import CONTROLLERS
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.runtime.lease import Lease
from perennial.telemetry import logs
from perennial.telemetry.health import Health

if TYPE_CHECKING:
    from perennial.ingest.service import IngestService


def main() -> None:
    """Run the operator until it is told to stop; the process ends with its exit code."""
    arguments = _parser().parse_args()
    logs.configure(arguments.log_level)
    sys.exit(asyncio.run(_run(arguments)))


async def _run(arguments: argparse.Namespace) -> int:
    credentials = login.load(arguments.kubeconfig)
    namespace = arguments.namespace or login.own_namespace() or "default"
    configuration = config.load(arguments.config)
    only = namespace if arguments.scope == "Namespaced" else None
    health = Health()
    services = []
    async with HttpClient(credentials) as client:
        lease = Lease(client, namespace, arguments.lease, arguments.identity)
        if arguments.ingest_port:
            ingest = _ingest(arguments, client, namespace, only, lease)
            health.ready["ingest"] = ingest.ready
            services.append(ingest)
        # What was imported never goes: nothing is to wait until it was looked through once more.
        gc.freeze()
        return await app.run(
            CONTROLLERS,
            configuration,
            client,
            credentials,
            lease,
            namespace=only,
            services=services,
            health=health,
            address=(arguments.health_host, arguments.health_port),
        )


def _ingest(
    arguments: argparse.Namespace, client: HttpClient, namespace: str, only: str | None, lease: Lease
) -> "IngestService":
    # Where it is not switched on, its libraries take no memory.
    from perennial.ingest.clusterwide import ClusterReviewer
    from perennial.ingest.service import IngestService
    from perennial.ingest.settings import Settings

    settings = Settings(
        namespace=namespace,
        replica=os.environ.get("POD_NAME", socket.gethostname()),
        host=arguments.ingest_host,
        port=arguments.ingest_port,
        names=tuple(arguments.ingest_name or ("localhost", "127.0.0.1")),
        certificates=arguments.ingest_certificates,
        replicas=arguments.replicas,
    )
    if only is None:
        return IngestService(client, ClusterReviewer(client), settings, leads=lease.holds)
    from perennial.ingest.namespaced import NamespaceReviewer
    from perennial.ingest.published import PublishedKeys

    return IngestService(
        client, NamespaceReviewer(client, PublishedKeys(client.read), only), settings, leads=lease.holds
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("perennial", description="The Perennial operator.")
    parser.add_argument("--config", type=Path, help="configuration file; without it all defaults hold")
    parser.add_argument("--kubeconfig", help="default: the pod's service account, else the caller's kubeconfig")
    parser.add_argument("--namespace", help="its own namespace, that of the Lease; default: the pod's")
    parser.add_argument(
        "--scope",
        default="Cluster",
        choices=["Cluster", "Namespaced"],
        help="serve all namespaces, or only its own (%(default)s)",
    )
    parser.add_argument("--lease", default="perennial-operator", help="name of the Lease (%(default)s)")
    parser.add_argument(
        "--identity",
        default=f"{os.environ.get('POD_NAME', socket.gethostname())}_{uuid.uuid4().hex[:8]}",
        help="how this replica signs the Lease; default: the pod's name and a random word",
    )
    parser.add_argument("--health-host", default="0.0.0.0", help="address of /healthz, /readyz and /metrics")
    parser.add_argument("--health-port", type=int, default=8080, help="their port (%(default)s)")
    parser.add_argument("--ingest-host", default="0.0.0.0", help="address of the endpoint for reported metrics")
    parser.add_argument("--ingest-port", type=int, help="its port; default: there is none")
    parser.add_argument("--ingest-name", action="append", default=[], help="a DNS name of it; may be repeated")
    parser.add_argument("--ingest-certificates", type=Path, help="folder with tls.crt and tls.key; default: its own")
    parser.add_argument("--replicas", type=int, default=1, help="replicas of the operator, which share the ingest")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


if __name__ == "__main__":
    main()
