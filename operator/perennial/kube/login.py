"""Where the API server is and who we are there: by the pod's service account, or by a kubeconfig."""

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# A rotated token is good for a while beside the new one; asking for it may cost as much as a request.
_GOOD_FOR = 10.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass
class Credentials:
    """The address and the credentials of one API server.

    bearer: asked for the Authorization header's value, anew every ten seconds, since tokens are rotated.
    clock: monotonic seconds.
    """

    server: str
    bearer: Callable[[], str | None]
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    insecure: bool = False
    proxy: str | None = None
    clock: Callable[[], float] = time.monotonic
    _known: tuple[str | None, float] | None = field(default=None, init=False)

    def authorization(self) -> str | None:
        """The Authorization header's value; None when it is a certificate that tells who we are."""
        now = self.clock()
        if self._known is None or now - self._known[1] >= _GOOD_FOR:
            self._known = (self.bearer(), now)
        return self._known[0]

    def ssl_context(self) -> ssl.SSLContext | None:
        """How to speak TLS with the server; None when it is not spoken to by https."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_path)
        if self.certificate_path:
            context.load_cert_chain(self.certificate_path, self.private_key_path)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def load(
    kubeconfig: str | None = None, context: str | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Credentials:
    """The credentials of a kubeconfig if one is named, else of the pod we run in, else of the caller's kubeconfig.

    Raises ImportError, naming the extra, when it is a kubeconfig and the official client is not installed.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if kubeconfig is None and context is None and host and (SERVICE_ACCOUNT / "token").exists():
        return _of_pod(host, os.environ.get("KUBERNETES_SERVICE_PORT", "443"), clock)
    return _of_kubeconfig(kubeconfig, context, clock)


def _of_pod(host: str, port: str, clock: Callable[[], float]) -> Credentials:
    # https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ read by ourselves: the official client is
    # most of an image, and a fifth of the memory of an operator that watches little.
    token = SERVICE_ACCOUNT / "token"
    return Credentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        bearer=lambda: f"Bearer {token.read_text().strip()}",
        ca_path=str(SERVICE_ACCOUNT / "ca.crt"),
        clock=clock,
    )


def _of_kubeconfig(path: str | None, context: str | None, clock: Callable[[], float]) -> Credentials:
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config
    except ImportError as error:
        raise ImportError("outside of a pod a kubeconfig is read, which takes the extra perennial[cli]") from error
    configuration = Configuration()
    load_kube_config(  # type: ignore[no-untyped-call]
        config_file=path, context=context, client_configuration=configuration
    )

    def bearer() -> str | None:
        setting = configuration.auth_settings().get("BearerToken")
        return str(setting["value"]) if setting else None

    return Credentials(
        server=configuration.host.rstrip("/"),
        bearer=bearer,
        ca_path=configuration.ssl_ca_cert,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        insecure=not configuration.verify_ssl,
        proxy=configuration.proxy,
        clock=clock,
    )


def own_namespace() -> str | None:
    """The namespace of the pod that this process runs in; None outside of a cluster."""
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        return None
