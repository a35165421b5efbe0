"""The nodes of a run by their names in the cluster's DNS, the same text for each node and each attempt."""

from collections.abc import Iterable
from dataclasses import dataclass

from perennial.plan import Body
from perennial.trainingjob.gang import service_name

# The kubelet puts the values of these into the variables that come after them.
_JOB, _INDEX = "PERENNIAL_JOB_NAME", "PERENNIAL_NODE_INDEX"
_LABELS = {_JOB: "batch.kubernetes.io/job-name", _INDEX: "batch.kubernetes.io/job-completion-index"}


@dataclass(frozen=True, slots=True)
class Peers:
    """The nodes of the run of a TrainingJob."""

    name: str
    count: int

    @property
    def index(self) -> str:
        """The number of a node, from 0, where the kubelet puts values in."""
        return f"$({_INDEX})"

    @property
    def job(self) -> str:
        """The Job of the attempt, there too."""
        return f"$({_JOB})"

    @property
    def leader(self) -> str:
        """The host name of node 0."""
        return self.host(0)

    def host(self, index: int) -> str:
        """The host name of a node: Indexed Jobs call their pods so (KEP-2214)."""
        return f"{self.job}-{index}.{service_name(self.name)}"

    def variables(self) -> Iterable[Body]:
        """What every node gets, whatever the framework."""
        for name, label in _LABELS.items():
            yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
        yield expanded("PERENNIAL_NODES", self.count)
        yield expanded("PERENNIAL_PEERS", ",".join(self.host(index) for index in range(self.count)))


def expanded(name: str, value: object) -> Body:
    """A variable into which the kubelet puts the values of others."""
    return {"name": name, "value": str(value)}
