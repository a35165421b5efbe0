"""TensorFlow: TF_CONFIG with every node a worker, as MultiWorkerMirroredStrategy reads it.

https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable
"""

import json
from collections.abc import Iterable

from perennial.api.trainingjob import Distribution
from perennial.plan import Body
from perennial.trainingjob.environment.distribution.peers import Peers, expanded

PORT = 2222


def variables(peers: Peers, _: Distribution) -> Iterable[Body]:
    """The cluster, and which of its workers this is. Worker 0 is the chief."""
    workers = [f"{peers.host(index)}:{PORT}" for index in range(peers.count)]
    cluster = json.dumps({"worker": workers})
    # A number without quotes, which is no JSON before the kubelet has put it in.
    task = f'{{"type": "worker", "index": {peers.index}}}'
    return [expanded("TF_CONFIG", f'{{"cluster": {cluster}, "task": {task}}}')]
