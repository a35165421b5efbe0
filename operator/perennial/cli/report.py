"""`report`: sends what was measured of a served model to the operator's ingest endpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client

from perennial.api.base import format_time
from perennial.api.meta import AUDIENCE, CA_CONFIGMAP
from perennial.api.resources import MODELDEPLOYMENTS
from perennial.cli.cluster import Cluster
from perennial.cli.endpoint import Endpoint
from perennial.cli.forward import forward
from perennial.cli.problem import Problem, Refused

# Where docs/metrics.md has pods mount a token and what to trust.
MOUNTED = Path("/var/run/perennial")
# Seconds that a token is good which we ask for; the least that the API server gives.
_TOKEN_LIFE = 600


@dataclass(frozen=True)
class Report:
    """What was measured: means of `samples` measurements, at `time` (now), of `revision` (the one that serves)."""

    deployment: str
    metrics: Sequence[tuple[str, float]]
    revision: str | None = None
    samples: int = 1
    time: datetime | None = None

    def body(self, revision: str) -> list[dict[str, Any]]:
        """As the endpoint takes it."""
        when = {"timestamp": format_time(self.time)} if self.time else {}
        return [
            {"name": name, "value": value, "revision": revision, "count": self.samples, **when}
            for name, value in self.metrics
        ]


class Sender:
    """Who reports, and by which way.

    Either `service_account`: a token of it is asked for, and the way is a port-forward through the API server. Or the
    folder `credentials`, in which a pod has token and CA: the way is the operator's Service. `url` is another way for
    both. `connect` is asked only when the API server is needed: a monitor in a pod need have no rights there.
    """

    def __init__(
        self,
        connect: Callable[[], Cluster],
        *,
        namespace: str | None = None,
        service_account: str | None = None,
        credentials: Path | None = None,
        url: str | None = None,
        operator_namespace: str = "perennial-system",
    ) -> None:
        self._connect = connect
        self._namespace = namespace
        self._service_account = service_account
        mounted = MOUNTED if (MOUNTED / "token").exists() else None
        self._credentials = None if service_account else credentials or mounted
        self._url = url
        self._operator_namespace = operator_namespace

    def send(self, report: Report) -> str:
        """What was done, in words. Problem says why the samples are not stored."""
        namespace = self._namespace or self._cluster.namespace
        revision = report.revision or self._served(report.deployment)
        token = self._token()
        with self._endpoint() as endpoint:
            endpoint.report(namespace, report.deployment, token, report.body(revision))
        measured = ", ".join(f"{name} {value:g}" for name, value in report.metrics)
        return f"reported of {revision}: {measured}"

    @cached_property
    def _cluster(self) -> Cluster:
        return self._connect()

    def _served(self, deployment: str) -> str:
        status = self._cluster.get(MODELDEPLOYMENTS, deployment).get("status") or {}
        if not (revision := status.get("stableRevision")):
            raise Problem(f"modeldeployment {deployment} serves nothing yet: give --revision if you have measured it")
        return str(revision)

    def _token(self) -> str:
        if self._service_account:
            return self._requested(self._service_account)
        if self._credentials is None:
            raise Problem(
                "who reports? Give --service-account NAME, of one that may create modeldeployments/metrics, or "
                "--credentials FOLDER, with its token"
            )
        return self._mounted("token").strip()

    def _requested(self, account: str) -> str:
        request = client.AuthenticationV1TokenRequest(
            spec=client.V1TokenRequestSpec(audiences=[AUDIENCE], expiration_seconds=_TOKEN_LIFE)
        )
        cluster = self._cluster
        try:
            with cluster.asking():
                core: Any = client.CoreV1Api(cluster.api)
                answer = core.create_namespaced_service_account_token(account, cluster.namespace, request)
        except Refused as refused:
            raise Problem(f"no token of service account {account}: {refused}") from None
        return str(answer.status.token)

    @contextmanager
    def _endpoint(self) -> Iterator[Endpoint]:
        authorities = self._authorities()
        if self._url:
            yield Endpoint(urlsplit(self._url), authorities)
        elif self._credentials:
            yield Endpoint(urlsplit(f"https://perennial.{self._operator_namespace}.svc"), authorities)
        else:
            with forward(self._cluster, self._operator_namespace) as (host, connection):
                yield Endpoint(urlsplit(f"https://{host}"), authorities, connection)

    def _authorities(self) -> str:
        """PEM; nothing when the operator has a certificate that the machine trusts anyway."""
        if self._credentials:
            return self._mounted("ca.crt") if (self._credentials / "ca.crt").exists() else ""
        cluster = self._cluster
        try:
            with cluster.asking():
                found = client.CoreV1Api(cluster.api).read_namespaced_config_map(CA_CONFIGMAP, cluster.namespace)
        except Refused as refused:
            if refused.code == 404:
                return ""
            raise Problem(f"what to trust cannot be read: {refused}") from None
        return str((found.data or {}).get("ca.crt", ""))

    def _mounted(self, name: str) -> str:
        assert self._credentials
        try:
            return (self._credentials / name).read_text()
        except OSError as error:
            raise Problem(
                f"{self._credentials / name}: {error.strerror}; docs/metrics.md shows what lies there"
            ) from None
