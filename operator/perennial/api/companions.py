"""What a ModelDeployment may have beside its pods: an autoscaler, a disruption budget, a network policy, an ingress."""

from typing import Annotated

from pydantic import ConfigDict, Field

from perennial.api.base import INT_OR_PERCENT, ApiModel, Body
from perennial.api.oneof import OneOf
from perennial.api.route import DnsName, Hostname
from perennial.api.rules import rule, validations
from perennial.api.verbatim import Verbatim

# A PodDisruptionBudget takes no more than all.
IntOrShare = Annotated[int | str, Field(json_schema_extra=INT_OR_PERCENT | {"pattern": "^(100|[0-9]{1,2})%$"})]


# What Kubernetes scales by when nothing is said. It is said, so that another's change of it is undone.
_CPU: Body = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_OF_PODS = frozenset({"Resource", "ContainerResource", "Pods"})


class Autoscaling(ApiModel):
    """A HorizontalPodAutoscaler says how many pods serve."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be above maxReplicas", ".minReplicas")
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="Never fewer pods.")
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(description="Never more pods.")
    metrics: Annotated[list[Verbatim], Field(max_length=16)] = Field(
        default=[],
        description="What they are scaled by, as in a HorizontalPodAutoscaler of autoscaling/v2. Default, as there: "
        "the pods use 80% of the CPU that they request.",
    )
    behavior: Verbatim | None = Field(
        None, description="How fast they are scaled, as in a HorizontalPodAutoscaler of autoscaling/v2."
    )

    @property
    def measured(self) -> list[Body]:
        """What is scaled by."""
        return self.metrics or [_CPU]

    @property
    def measured_of_pods(self) -> list[Body]:
        """What is measured of each pod: only this can differ between two revisions."""
        return [metric for metric in self.measured if metric.get("type") in _OF_PODS]


class Disruption(OneOf):
    """How many pods a drain of nodes, say, may take away at a time, by a PodDisruptionBudget: exactly one."""

    min_available: IntOrShare | None = Field(
        None, description="So many pods must stay ready: a number, or a percentage of all."
    )
    max_unavailable: IntOrShare | None = Field(
        None, description="So many pods may be missing: a number, or a percentage of all."
    )


class Network(ApiModel):
    """Who may call the pods, by a NetworkPolicy."""

    allow_from: Annotated[list[Verbatim], Field(max_length=64)] = Field(
        description="Who may call the port `http`, each as a NetworkPolicyPeer of networking.k8s.io/v1; an empty list: "
        "nobody. Nobody may call any other port."
    )


class Ingress(ApiModel):
    """How requests from outside get to the Service, by an Ingress."""

    class_name: DnsName | None = Field(None, description="The IngressClass; default: that of the cluster.")
    hosts: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default=[], description="Only requests for these hosts; default: for any."
    )
    tls_secret_name: DnsName | None = Field(None, description="The Secret with the certificate for the hosts.")
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=16_384)]], Field(max_length=32)] = Field(
        default={}, description="For the controller, or for who makes the certificate."
    )
