"""JAX: the arguments of `jax.distributed.initialize`.

https://docs.jax.dev/en/latest/_autosummary/jax.distributed.initialize.html
"""

from collections.abc import Iterable

from perennial.api.trainingjob import Distribution
from perennial.plan import Body
from perennial.trainingjob.environment.distribution.peers import Peers, expanded

PORT = 6666


def variables(peers: Peers, _: Distribution) -> Iterable[Body]:
    """The coordinator, which node 0 is, the number of processes, and which of them this is."""
    values = {
        "JAX_COORDINATOR_ADDRESS": f"{peers.leader}:{PORT}",
        "JAX_NUM_PROCESSES": peers.count,
        "JAX_PROCESS_ID": peers.index,
    }
    return [expanded(name, value) for name, value in values.items()]
