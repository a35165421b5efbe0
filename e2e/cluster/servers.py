"""The servers of a native cluster: their command lines and configuration files, written into the cluster's state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.cluster.apiserver import AUDIT_POLICY
from e2e.cluster.network import NODE_POD_CIDR, POD_CIDR, SERVICE_CIDR, Network

NODE_NAME = "node1"
PAUSE_IMAGE = "localhost/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
DNS_READY_PORT = 8181
KUBELET_HEALTH_PORT = 10248
_ETCD = "127.0.0.1:2379"
_API = "https://127.0.0.1:6443/readyz"


def write(state: Path, network: Network, programs: dict[str, Path]) -> None:
    """Write servers.json, which node.py starts, and every file that it names; certificates are in STATE/pki already."""
    (state / "logs").mkdir(exist_ok=True)
    (state / "resolv.conf").touch()
    (state / "containerd.toml").write_text(_containerd(state))
    (state / "cni").mkdir(exist_ok=True)
    _json(state / "cni" / "10-pods.conflist", _cni())
    _json(state / "kubelet.json", _kubelet(state, network))
    _json(state / "audit.json", AUDIT_POLICY)
    (state / "Corefile").write_text(_corefile(state, network))
    servers = [
        _server("etcd", programs["etcd"], "", _etcd(state)),
        _server("kube-apiserver", programs["kube-apiserver"], _ETCD, _apiserver(state, network)),
        _server("kube-controller-manager", programs["kube-controller-manager"], _API, _controllers(state)),
        _server("kube-scheduler", programs["kube-scheduler"], _API, _scheduler(state)),
        _server("containerd", "containerd", "", {"config": state / "containerd.toml"}),
        _server("kubelet", programs["kubelet"], CONTAINERD_SOCKET, _kubelet_flags(state, network)),
        _server("kube-proxy", programs["kube-proxy"], _API, _proxy(state)),
        {"name": "coredns", "command": [str(programs["coredns"]), "-conf", str(state / "Corefile")], "needs": _API},
    ]
    _json(state / "servers.json", {"address": network.node, "routes": SERVICE_CIDR, "programs": servers})


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1))


def _server(name: str, program: Path | str, needs: str, flags: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "command": [str(program), *(f"--{k}={v}" for k, v in flags.items())], "needs": needs}


def _etcd(state: Path) -> dict[str, Any]:
    return {
        "data-dir": state / "etcd",
        "listen-client-urls": f"http://{_ETCD}",
        "advertise-client-urls": f"http://{_ETCD}",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _apiserver(state: Path, network: Network) -> dict[str, Any]:
    pki = state / "pki"
    return {
        "etcd-servers": f"http://{_ETCD}",
        "advertise-address": network.node,
        "secure-port": 6443,
        "service-cluster-ip-range": SERVICE_CIDR,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        # The node's name resolves nowhere.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "audit-policy-file": state / "audit.json",
        "audit-log-path": state / "logs" / "audit.log",
        "audit-log-maxsize": 100,
        "audit-log-maxbackup": 3,
    }


def _controllers(state: Path) -> dict[str, Any]:
    pki, config = state / "pki", state / "controller-manager.conf"
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "allocate-node-cidrs": "true",
        "cluster-cidr": POD_CIDR,
        "service-cluster-ip-range": SERVICE_CIDR,
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "sa.key",
        "enable-hostpath-provisioner": "true",
        # A test that waits for an autoscaler waits for several of its turns.
        "horizontal-pod-autoscaler-sync-period": "5s",
    }


def _scheduler(state: Path) -> dict[str, Any]:
    config = state / "scheduler.conf"
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "leader-elect": "false",
    }


def _kubelet_flags(state: Path, network: Network) -> dict[str, Any]:
    return {
        "config": state / "kubelet.json",
        "kubeconfig": state / "kubelet.conf",
        "node-ip": network.node,
        "hostname-override": NODE_NAME,
    }


def _kubelet(state: Path, network: Network) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(state / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        # Two kubelets under one root would remove each other's pods.
        "cgroupRoot": f"/{network.cgroup}",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        # Asked from the host, whether the node's kubelet is there: its last word on the node may be an old one.
        "healthzBindAddress": network.node,
        "clusterDNS": [network.node],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state / "resolv.conf"),
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Images come from files, so one that was collected could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "10s",
        # How soon a pod sees a ConfigMap that was not there when it started; a minute is long in a demo.
        "syncFrequency": "5s",
    }


def _proxy(state: Path) -> dict[str, Any]:
    return {
        "kubeconfig": state / "super-admin.conf",
        "hostname-override": NODE_NAME,
        "proxy-mode": "iptables",
        "cluster-cidr": POD_CIDR,
        # Connection tracking limits belong to the host and cannot be set from a namespace.
        "conntrack-max-per-core": 0,
        "conntrack-min": 0,
        "conntrack-tcp-timeout-established": "0s",
        "conntrack-tcp-timeout-close-wait": "0s",
    }


def _cni() -> dict[str, Any]:
    ipam = {"type": "host-local", "ranges": [[{"subnet": NODE_POD_CIDR}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": ipam | {"dataDir": "/run/ipam"},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _containerd(state: Path) -> str:
    # Lowering oom_score_adj is refused in some sandboxes; without the restriction runc fails there.
    return f"""version = 2
root = "{state}/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""


def _corefile(state: Path, network: Network) -> str:
    return f""".:53 {{
  bind {network.node}
  errors
  ready {network.node}:{DNS_READY_PORT}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {state}/super-admin.conf
    pods insecure
    ttl 5
  }}
}}
"""
