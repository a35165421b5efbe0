"""Where the API server is and who we are there, as the official client reads it: in the cluster, or by a kubeconfig."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config import load_incluster_config, load_kube_config
from kubernetes.config.config_exception import ConfigException

# The official client reads all of a kubeconfig anew for each question, which costs as much as a request.
_GOOD_FOR = 10.0
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Credentials:
    """The address and the credentials of one API server. Tokens are asked for anew, since they are rotated.

    `clock` is monotonic seconds.
    """

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._known: tuple[str | None, float] | None = None
        self.server: str = configuration.host.rstrip("/")
        self.ca_path: str | None = configuration.ssl_ca_cert
        self.certificate_path: str | None = configuration.cert_file
        self.private_key_path: str | None = configuration.key_file
        self.insecure: bool = not configuration.verify_ssl
        self.proxy: str | None = configuration.proxy

    def authorization(self) -> str | None:
        """The Authorization header's value; a rotated token file is read again after little more than a minute."""
        now = self._clock()
        if self._known is None or now - self._known[1] >= _GOOD_FOR:
            bearer = self._configuration.auth_settings().get("BearerToken")
            self._known = (bearer["value"] if bearer else None, now)
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
    """The credentials of a kubeconfig if one is named, else of the pod we run in, else of the caller's kubeconfig."""
    configuration = Configuration()
    if kubeconfig is None and context is None:
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return Credentials(configuration, clock)
        except ConfigException:
            pass
    load_kube_config(  # type: ignore[no-untyped-call]
        config_file=kubeconfig, context=context, client_configuration=configuration
    )
    return Credentials(configuration, clock)


def own_namespace() -> str | None:
    """The namespace of the pod that this process runs in; None outside of a cluster."""
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return None
