"""XGBoost: where node 0 starts the tracker, and which worker this is.

https://xgboost.readthedocs.io/en/stable/python/python_api.html#module-xgboost.collective
"""

from collections.abc import Iterable

from perennial.api.trainingjob import Distribution
from perennial.plan import Body
from perennial.trainingjob.environment.distribution.peers import Peers, expanded

PORT = 9091


def variables(peers: Peers, _: Distribution) -> Iterable[Body]:
    """DMLC_*, by the names that XGBoost has had since its tracker was dmlc's."""
    values = {
        "DMLC_TRACKER_URI": peers.leader,
        "DMLC_TRACKER_PORT": PORT,
        "DMLC_NUM_WORKER": peers.count,
        "DMLC_TASK_ID": peers.index,
    }
    return [expanded(name, value) for name, value in values.items()]
