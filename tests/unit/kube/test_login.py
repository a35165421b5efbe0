"""Credentials: from a kubeconfig and from a pod's service account, with a token that is rotated."""

import datetime

import pytest
import yaml
from kubernetes.config import incluster_config

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
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("first")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def test_a_pods_token_is_read_again_when_it_is_rotated(pod, monkeypatch):
    seconds = 0.0
    credentials = login.load(clock=lambda: seconds)
    assert credentials.server == "https://10.0.0.1:443"
    assert credentials.authorization() == "bearer first"
    (pod / "token").write_text("second")

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(minutes=2)

    monkeypatch.setattr(incluster_config.datetime, "datetime", Later)
    assert credentials.authorization() == "bearer first", "not asked for with every request"
    seconds = 10.0
    assert credentials.authorization() == "bearer second"


def test_a_named_kubeconfig_wins_over_the_pod(pod, tmp_path):
    assert login.load(kubeconfig(tmp_path, token="mine")).authorization() == "Bearer mine"


def test_outside_of_a_cluster_there_is_no_own_namespace():
    assert login.own_namespace() is None
