"""Named clusters behind one interface, whichever provider stands behind each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from e2e.cluster import images
from e2e.cluster.cache import cache_dir
from e2e.cluster.kind import Kind
from e2e.cluster.native import Native
from e2e.cluster.network import check_name


class Cluster(Protocol):
    """What every provider does; see native.Native for what each member promises."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> Path: ...
    @property
    def kubeconfig(self) -> Path: ...
    def running(self) -> bool: ...
    def up(self) -> None: ...
    def down(self) -> None: ...
    def load(self, archives: Sequence[Path]) -> None: ...
    def exec_command(self, command: Sequence[str]) -> list[str]: ...


PROVIDERS: dict[str, type[Kind] | type[Native]] = {"kind": Kind, "native": Native}


def find(name: str, provider: str = "auto") -> Cluster:
    """Return the cluster of that name, there or not.

    provider: for a new cluster; "auto" is `kind` where a container engine answers. One that is there keeps its own.
    """
    state = _folder() / check_name(name)
    if (own := state / "provider").exists():
        provider = own.read_text()
    if provider == "auto":
        provider = "kind" if images.engine() else "native"
    return PROVIDERS[provider](name, state)


def every() -> Iterator[Cluster]:
    """Yield the clusters that have a state, by name."""
    for state in sorted(_folder().glob("[!.]*")):
        yield find(state.name)


def provider_of(cluster: Cluster) -> str:
    """Return the name of the cluster's provider."""
    return type(cluster).__name__.lower()


def _folder() -> Path:
    return cache_dir() / "clusters"
