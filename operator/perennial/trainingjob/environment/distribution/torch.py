"""PyTorch: torchrun's own variables, and those of `env://` where each node is one process.

https://docs.pytorch.org/docs/stable/elastic/run.html, https://docs.pytorch.org/docs/stable/distributed.html
"""

from collections.abc import Iterable

from perennial.api.trainingjob import Distribution, Elastic
from perennial.plan import Body
from perennial.trainingjob.environment.distribution.peers import Peers, expanded

PORT = 29500
MAX_RESTARTS = 100
# Seconds that a node tries to reach node 0, which may have more to fetch; torchrun's own minute is short for that.
READ_TIMEOUT = 600


def variables(peers: Peers, distribution: Distribution) -> Iterable[Body]:
    """PET_* for torchrun; MASTER_ADDR, RANK and the like for a training that torchrun does not start."""
    if distribution.elastic:
        return _elastic(peers, distribution, distribution.elastic)
    values = {
        "MASTER_ADDR": peers.leader,
        "MASTER_PORT": PORT,
        "PET_MASTER_ADDR": peers.leader,
        "PET_MASTER_PORT": PORT,
        "PET_NNODES": peers.count,
        "PET_NODE_RANK": peers.index,
        "PET_NPROC_PER_NODE": distribution.processes_per_node,
    }
    if distribution.processes_per_node == 1:
        values |= {"RANK": peers.index, "WORLD_SIZE": peers.count, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    return [expanded(name, value) for name, value in values.items()]


def _elastic(peers: Peers, distribution: Distribution, elastic: Elastic) -> Iterable[Body]:
    """A rendezvous that node 0 holds; ranks are given there."""
    values = {
        "PET_NNODES": f"{elastic.min_nodes}:{elastic.max_nodes}",
        "PET_NPROC_PER_NODE": distribution.processes_per_node,
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{peers.leader}:{PORT}",
        "PET_RDZV_ID": peers.job,
        "PET_RDZV_CONF": f"read_timeout={READ_TIMEOUT}",
        # The processes of the nodes that are left fail with the one that is lost.
        "PET_MAX_RESTARTS": MAX_RESTARTS,
    }
    return [expanded(name, value) for name, value in values.items()]
