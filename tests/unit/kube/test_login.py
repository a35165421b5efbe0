"""Credentials: from a kubeconfig and from a pod's service account, with a token that is rotated."""

import sys

import pytest
import yaml

from perennial.kube import login


def kubeconfig(tmp_path, server="http://127.0.0.1:1/", **user):
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_a_kubeconfig_with_a_token(tmp_path):
    credentials = login.load(kubeconfig(tmp_path, token="secret"))
    assert credentials.server == "http://127.0.0.1:1"
    assert credentials.authorization() == "Bearer secret"
    assert credentials.ssl_context() is None


def test_a_kubeconfig_with_a_certificate_has_no_header(tmp_path):
    for name in ("crt", "key"):
        (tmp_path / name).write_text("pem")
    files = {"client-certificate": str(tmp_path / "crt"), "client-key": str(tmp_path / "key")}
    credentials = login.load(kubeconfig(tmp_path, "https://127.0.0.1:1", **files))
    assert credentials.authorization() is None
    assert (credentials.certificate_path, credentials.private_key_path) == tuple(files.values())


@pytest.fixture
def pod(tmp_path, monkeypatch):
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text("first\n")
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def test_a_pods_token_is_read_again_when_it_is_rotated(pod):
    seconds = 0.0
    credentials = login.load(clock=lambda: seconds)
    assert credentials.server == "https://10.0.0.1:443"
    assert credentials.ca_path == str(pod / "ca.crt")
    assert credentials.authorization() == "Bearer first"
    (pod / "token").write_text("second")
    assert credentials.authorization() == "Bearer first", "not asked for with every request"
    seconds = 10.0
    assert credentials.authorization() == "Bearer second"
    assert login.own_namespace() == "first"


def test_an_address_of_ipv6_is_an_url(pod, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert login.load().server == "https://[fd00::1]:443"


def test_a_pod_needs_no_official_client(pod, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    assert login.load().authorization() == "Bearer first"
    with pytest.raises(ImportError, match=r"perennial\[cli\]"):
        login.load("/some/kubeconfig")


def test_a_named_kubeconfig_wins_over_the_pod(pod, tmp_path):
    assert login.load(kubeconfig(tmp_path, token="mine")).authorization() == "Bearer mine"


def test_outside_of_a_cluster_there_is_no_own_namespace():
    assert login.own_namespace() is None
