"""The versions that programs are built in, and say they are."""

import re
from pathlib import Path

import pytest

from e2e.cluster import tools
from e2e.cluster.cache import ClusterError


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERENNIAL_KUBERNETES", raising=False)


@pytest.mark.parametrize("minor", tools.SERVED)
def test_a_kubernetes_is_what_it_says(minor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_KUBERNETES", minor)
    for name in ("kube-apiserver", "kube-controller-manager"):
        tool = tools._served(name)
        module = (tools.MODULES / tool.module / "go.mod").read_text()
        (version,) = re.findall(r"k8s\.io/kubernetes (v\S+)", module)
        assert version == tools.SERVED[minor]
        assert f"gitVersion={version} " in tool.ldflags
        assert version.startswith(f"v{minor}.")


def test_a_kubernetes_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_KUBERNETES", "1.30")
    with pytest.raises(ClusterError, match=r"PERENNIAL_KUBERNETES=1\.30: use one of 1\.31, .*, 1\.36"):
        tools._served("kube-apiserver")


def test_an_older_kubernetes_is_the_oldest_that_is_built_and_behaves_as_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.emulation() == []
    built = tools._served("kube-apiserver")
    monkeypatch.setenv("PERENNIAL_KUBERNETES", "1.31")
    assert tools._served("kube-apiserver") == built
    assert tools.emulation() == ["--emulated-version=kube=1.31"]


def test_a_program_is_built_again_when_what_its_module_holds_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "MODULES", tmp_path)
    monkeypatch.setattr(tools, "_go", lambda: ("go", "go1.26"))
    inner = tmp_path / tools.TOOLS["traefik"].module / "lego" / "lego.go"
    inner.parent.mkdir(parents=True)
    made = set()
    for content in ("package lego", "package lego // changed"):
        inner.write_text(content)
        made.add(tools.path.__wrapped__("traefik"))
    assert len(made) == 2
