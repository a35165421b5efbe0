"""How the nodes of a run find each other: what all of them get, and beside it the variables of one framework.

A framework is a module beside this one, with its place in FRAMEWORKS.
"""

from collections.abc import Callable, Iterable, Mapping

from perennial.api.trainingjob import Distribution, Framework, TrainingJobSpec
from perennial.plan import Body
from perennial.trainingjob.environment.distribution import jax, tensorflow, torch, xgboost
from perennial.trainingjob.environment.distribution.peers import Peers
from perennial.trainingjob.snapshot import Snapshot

FRAMEWORKS: Mapping[Framework, Callable[[Peers, Distribution], Iterable[Body]]] = {
    Framework.NONE: lambda peers, distribution: (),
    Framework.TORCH: torch.variables,
    Framework.JAX: jax.variables,
    Framework.XGBOOST: xgboost.variables,
    Framework.TENSORFLOW: tensorflow.variables,
}


def variables(snapshot: Snapshot, spec: TrainingJobSpec) -> Iterable[Body]:
    """PERENNIAL_NODE_INDEX, PERENNIAL_NODES and PERENNIAL_PEERS, then the framework's own."""
    if spec.distribution is None:
        return []
    peers = Peers(snapshot.name, spec.nodes)
    return [*peers.variables(), *FRAMEWORKS[spec.distribution.framework](peers, spec.distribution)]
