"""A real API server on loopback, without nodes: etcd and kube-apiserver, for tests that need no pods to run."""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from e2e.cluster import tools
from e2e.cluster.cache import ClusterError
from e2e.cluster.ports import free_ports
from e2e.cluster.processes import Server

ADMIN = "admin"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class ApiServer:
    """A Kubernetes API with RBAC, used as `with ApiServer(folder) as server:`.

    folder: made when missing; holds data, logs/ and kubeconfigs, and can be used again by a later ApiServer.
    users: further users by name with their groups; each gets a token. ADMIN is in system:masters.
    audit: write every request (metadata only) to `audit_log`.
    controller_manager: run Kubernetes' controllers too: Jobs get pods (that nothing runs), owners are collected.
    apiserver_args, controller_args: further flags of kube-apiserver and kube-controller-manager, which win over the
        ones given here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        audit: bool = False,
        controller_manager: bool = False,
        apiserver_args: Sequence[str] = (),
        controller_args: Sequence[str] = (),
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.audit_log = self.folder / "logs" / "audit.log"
        self._groups = {ADMIN: ("system:masters",), **(users or {})}
        self._tokens = {name: secrets.token_hex(16) for name in self._groups}
        self._audit, self._controllers, self._extra = audit, controller_manager, tuple(apiserver_args)
        self._controller_args = tuple(controller_args)
        self._etcd_port, self._peer_port, self._port = free_ports(3)
        self.etcd = Server(self.folder, "etcd")
        self.apiserver = Server(self.folder, "kube-apiserver")
        self.controller_manager = Server(self.folder, "kube-controller-manager")

    def __enter__(self) -> Self:
        self._bin = tools.ensure(*tools.APISERVER_TOOLS)
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The server's address, the same across restarts."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self.folder / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfig_of(ADMIN)

    def token(self, user: str = ADMIN) -> str:
        """Return the bearer token of a user given to the constructor."""
        return self._tokens[user]

    def kubeconfig_of(self, user: str) -> Path:
        """Return the kubeconfig of a user given to the constructor."""
        return self.write_kubeconfig(user, self._tokens[user])

    def service_account_token(self, namespace: str, name: str, *audiences: str) -> str:
        """Return a token of an existing service account, valid for an hour."""
        spec: dict[str, Any] = {"audiences": audiences} if audiences else {}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.request("POST", path, {"spec": spec})
        return str(answer["status"]["token"])

    def write_kubeconfig(self, name: str, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig with that token into the folder and return its path."""
        path = self.folder / f"{name}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        context = {"cluster": "apiserver", "user": name, "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "apiserver", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "apiserver", "context": context}],
            "current-context": "apiserver",
        }
        path.write_text(json.dumps(config))
        return path

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send one request as the administrator and return the decoded answer.

        Raises urllib.error.HTTPError for an error status and URLError when the server does not answer.
        """
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:
            return json.load(answer)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return its output; raises CalledProcessError when it fails."""
        command = [str(self._bin["kubectl"]), "--kubeconfig", str(self.kubeconfig), *args]
        return subprocess.run(command, input=stdin, check=True, text=True, stdout=subprocess.PIPE).stdout

    def start(self) -> None:
        """Start whatever does not run and return when the API is ready."""
        self.etcd.start(
            [
                self._bin["etcd"],
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{self._etcd_port}",
                f"--advertise-client-urls=http://127.0.0.1:{self._etcd_port}",
                f"--listen-peer-urls=http://127.0.0.1:{self._peer_port}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{self._peer_port}",
                f"--initial-cluster=default=http://127.0.0.1:{self._peer_port}",
                "--unsafe-no-fsync",
            ]
        )
        self.start_apiserver()
        if self._controllers:
            self._start_controllers()

    def stop(self) -> None:
        """Stop everything and return when every process is gone; the data stays in the folder."""
        for server in (self.controller_manager, self.apiserver, self.etcd):
            server.stop(patience=5)

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """End the API server alone, by SIGKILL if `kill`; etcd keeps its data and `start_apiserver` goes on."""
        if kill:
            self.apiserver.signal(signal.SIGKILL)
        self.apiserver.stop(patience=5)

    def start_apiserver(self) -> None:
        """Start the API server alone and return when it is ready."""
        f = self.folder
        audit = [f"--audit-policy-file={f / 'audit.json'}", f"--audit-log-path={self.audit_log}"] if self._audit else []
        # Without the controllers no namespace gets its default service account, and every pod would be refused.
        plugins = [] if self._controllers else ["--disable-admission-plugins=ServiceAccount"]
        self.apiserver.start(
            [
                self._bin["kube-apiserver"],
                f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--cert-dir={f}",
                f"--token-auth-file={f / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={f / 'sa.key'}",
                f"--service-account-signing-key-file={f / 'sa.key'}",
                "--allow-privileged=true",
                "--shutdown-delay-duration=0s",
                *tools.emulation(),
                *plugins,
                *audit,
                *self._extra,
            ]
        )
        self._wait(self.apiserver, "/readyz?verbose")
        self._wait(self.apiserver, "/api/v1/namespaces/default")

    def _start_controllers(self) -> None:
        self.controller_manager.start(
            [
                self._bin["kube-controller-manager"],
                f"--kubeconfig={self.kubeconfig}",
                "--bind-address=127.0.0.1",
                f"--secure-port={free_ports(1)[0]}",
                f"--cert-dir={self.folder / 'controllers'}",
                "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={self.folder / 'sa.key'}",
                f"--root-ca-file={self.ca}",
                *tools.emulation(),
                *self._controller_args,
            ]
        )
        self._wait(self.controller_manager, "/api/v1/namespaces/default/serviceaccounts/default")

    def _prepare(self) -> None:
        rows = [f'{self._tokens[name]},{name},{name},"{",".join(groups)}"' for name, groups in self._groups.items()]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        (self.folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        (self.folder / "logs").mkdir(exist_ok=True)
        if not (key := self.folder / "sa.key").exists():
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            key.write_bytes(_pem(private))
        if not self.ca.exists():
            self._certify()

    def _certify(self) -> None:
        """The certificate that it would make itself, but with a key by which it signs faster: where everybody connects
        anew for each request, signing took a quarter of its CPU."""
        private, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(one)) for one in ("127.0.0.1", "10.96.0.1")]
        names += [x509.DNSName(one) for one in ("localhost", "kubernetes.default.svc")]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(private, hashes.SHA256())
        )
        # Where it looks for its own.
        (self.folder / "apiserver.key").write_bytes(_pem(private))
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _wait(self, server: Server, path: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            server.check()
            try:
                request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token()}"})
                context = ssl.create_default_context(cafile=self.ca)
                with urllib.request.urlopen(request, context=context, timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise ClusterError(f"{server.name} did not become ready within {seconds:.0f}s, see {server.log}")


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, none)
