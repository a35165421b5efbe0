"""Names and addresses of a native cluster: each has a point-to-point link of its own to the host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from e2e.cluster.cache import ClusterError

# The range for benchmarks (RFC 2544), which no real network uses.
_PREFIX = "198.18"
POD_CIDR = "10.244.0.0/16"
NODE_POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_LINK = re.compile(r"pnl(\d+)(?:@.*)?")


@dataclass(frozen=True, slots=True)
class Network:
    """The link of cluster number `index`: a /30 with the host at one end and the node at the other."""

    index: int

    @property
    def link(self) -> str:
        """The name of the host's end."""
        return f"pnl{self.index}"

    @property
    def host(self) -> str:
        """The host's address, as pods and the node reach it."""
        return f"{_PREFIX}.{self.index}.1"

    @property
    def node(self) -> str:
        """The node's address: API server, DNS and node ports, reachable from host and pods."""
        return f"{_PREFIX}.{self.index}.2"

    @property
    def cgroup(self) -> str:
        """The name of the control group that holds the cluster's pods."""
        return f"perennial-{self.index}"


def check_name(name: str) -> str:
    """Return the cluster's name, or raise ClusterError when it cannot be one."""
    if not _NAME.fullmatch(name):
        raise ClusterError(f"cluster name {name!r}: at most 40 lower case letters, digits and hyphens between them")
    return name


def indices_of(links: Iterable[str]) -> set[int]:
    """Return the numbers of the clusters whose links are among the names of network links."""
    return {int(found[1]) for link in links if (found := _LINK.fullmatch(link))}


def allocate(taken: Iterable[int]) -> Network:
    """Return the lowest network that is not taken; raises ClusterError when all 256 are."""
    used = set(taken)
    for index in range(256):
        if index not in used:
            return Network(index)
    raise ClusterError("256 clusters are there already; remove one with `down`")
