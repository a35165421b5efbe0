"""The resources that Perennial reads or writes, and their paths in the Kubernetes API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perennial.api.meta import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the Kubernetes API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects: `batch/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection or, with a name, of the object or its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


TRAININGJOBS = Resource(GROUP, VERSION, "trainingjobs", "TrainingJob")
MODELS = Resource(GROUP, VERSION, "models", "Model")
MODELVERSIONS = Resource(GROUP, VERSION, "modelversions", "ModelVersion")
MODELDEPLOYMENTS = Resource(GROUP, VERSION, "modeldeployments", "ModelDeployment")
RETRAINPOLICIES = Resource(GROUP, VERSION, "retrainpolicies", "RetrainPolicy")
METRICSERIES = Resource(GROUP, VERSION, "metricseries", "MetricSeries")
JOBS = Resource("batch", "v1", "jobs", "Job")
PODS = Resource("", "v1", "pods", "Pod")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
SERVICES = Resource("", "v1", "services", "Service")
HORIZONTALPODAUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
PODDISRUPTIONBUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
HTTPROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
PVCS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS = Resource("", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
TOKENREVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
LOCALSUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"
)
SUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)

OWN_KINDS = (TRAININGJOBS, MODELS, MODELVERSIONS, MODELDEPLOYMENTS, RETRAINPOLICIES, METRICSERIES)
# Watched with the label selector `perennial.dev/owned`.
CHILD_KINDS = (
    JOBS,
    PODS,
    DEPLOYMENTS,
    SERVICES,
    HORIZONTALPODAUTOSCALERS,
    PODDISRUPTIONBUDGETS,
    NETWORKPOLICIES,
    INGRESSES,
    HTTPROUTES,
    PVCS,
)
# Which a cluster need not have.
OPTIONAL_KINDS = (HTTPROUTES,)

_BY_KIND = {
    (resource.api_version, resource.kind): resource
    for resource in (
        *OWN_KINDS,
        *CHILD_KINDS,
        CONFIGMAPS,
        EVENTS,
        LEASES,
        NODES,
        TOKENREVIEWS,
        SUBJECTACCESSREVIEWS,
        LOCALSUBJECTACCESSREVIEWS,
        SERVICEACCOUNTS,
    )
}


def of(body: Mapping[str, Any]) -> Resource:
    """The resource of an object, by its `apiVersion` and `kind`. KeyError when Perennial has no use for that kind."""
    return _BY_KIND[body["apiVersion"], body["kind"]]
