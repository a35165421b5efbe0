"""From outside of the cluster to the operator's ingest endpoint: a port of one of its pods, through the API server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from perennial.cli.cluster import Cluster
from perennial.cli.problem import Problem, Refused

# As the chart labels what it makes, and names the port.
_LABEL = "app.kubernetes.io/part-of=perennial"
_PORT = "ingest"
_OTHERWISE = "; or report from a pod, or give --url"


@contextmanager
def forward(cluster: Cluster, namespace: str) -> Iterator[tuple[str, socket.socket]]:
    """The name that the endpoint's certificate is made for, and a connection to it. `namespace`: the operator's.

    Problem when no replica can be reached so.
    """
    core: Any = client.CoreV1Api(cluster.api)
    try:
        with cluster.asking():
            service = _service(core, namespace)
            pod, port = _pod(core, namespace, service)
    except Refused as refused:
        raise Problem(f"{refused}{_OTHERWISE}") from None
    try:
        tunnel = portforward(core.connect_get_namespaced_pod_portforward, pod.metadata.name, namespace, ports=str(port))
    except ApiException as error:
        why = str(error.reason).partition(" -+-+-")[0]
        needed = f": the verbs get and create on pods/portforward in {namespace} are needed" if " 403" in why else ""
        raise Problem(f"no port-forward to pod {pod.metadata.name} ({why}){needed}{_OTHERWISE}") from None
    try:
        yield f"{service.metadata.name}.{namespace}.svc", tunnel.socket(port)
    except Problem as problem:
        said = tunnel.error(port)
        raise Problem(f"{problem} The kubelet says: {said}") if said else problem from None
    finally:
        tunnel.close()


def _service(core: Any, namespace: str) -> Any:
    for service in core.list_namespaced_service(namespace, label_selector=_LABEL).items:
        if any(port.name == _PORT for port in service.spec.ports):
            return service
    raise Problem(f"no operator in namespace {namespace}: give --operator-namespace{_OTHERWISE}")


def _pod(core: Any, namespace: str, service: Any) -> tuple[Any, int]:
    """A pod that is ready, and the number of its port."""
    selector = ",".join(f"{key}={value}" for key, value in service.spec.selector.items())
    for pod in core.list_namespaced_pod(namespace, label_selector=selector).items:
        ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
        ports = [port for container in pod.spec.containers for port in container.ports or () if port.name == _PORT]
        if ready and ports:
            return pod, int(ports[0].container_port)
    raise Problem(f"no pod of the operator in namespace {namespace} is ready: see `kubectl get pods -n {namespace}`")
