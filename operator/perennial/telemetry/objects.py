"""What each object stands at, read off the cache whenever Prometheus asks: for dashboards and alerts by model.

Of what the operator does not see, as one that does not lead, there are no series.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perennial.api.conditions import find
from perennial.api.resources import MODELDEPLOYMENTS, RETRAINPOLICIES, Resource
from perennial.plan import Body

# What is asked for by its name is ready, or a person must look: TrainingJobs end, and tell of it otherwise.
_KINDS = (MODELDEPLOYMENTS, RETRAINPOLICIES)


class Seen(Protocol):
    """What is known of the cluster."""

    def everywhere(self, resource: Resource) -> Iterable[Body]: ...


class Objects(Collector):
    """Collects gauges of the objects in view."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """The gauges, each with the namespace and the name of what it is of."""
        yield from _conditions({kind: list(self._seen.everywhere(kind)) for kind in _KINDS})
        yield _served(self._seen.everywhere(MODELDEPLOYMENTS))
        yield from _triggers(self._seen.everywhere(RETRAINPOLICIES))

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at the registration: there is no cache yet."""
        return ()


def _conditions(bodies: Mapping[Resource, Iterable[Body]]) -> Iterator[Metric]:
    ready = GaugeMetricFamily("perennial_ready", "Whether an object is Ready.", labels=["kind", "namespace", "name"])
    labels = ["kind", "namespace", "name", "reason"]
    stalled = GaugeMetricFamily("perennial_stalled", "1 while a person must change something.", labels=labels)
    for kind, every in bodies.items():
        for body in every:
            conditions, key = _status(body).get("conditions"), (kind.kind, *_names(body))
            if found := find(conditions, "Ready"):
                ready.add_metric(key, float(found["status"] == "True"))
            found = find(conditions, "Stalled")
            if found and found["status"] == "True":
                stalled.add_metric((*key, found["reason"]), 1.0)
    yield ready
    yield stalled


def _served(deployments: Iterable[Body]) -> Metric:
    labels = ["namespace", "modeldeployment", "model"]
    served = GaugeMetricFamily("perennial_served_version", "Version of the model that is served.", labels=labels)
    for body in deployments:
        for promotion in (_status(body).get("promotions") or ())[:1]:
            if promotion.get("version"):
                served.add_metric((*_names(body), promotion.get("model") or ""), float(promotion["version"]))
    return served


def _triggers(policies: Iterable[Body]) -> Iterator[Metric]:
    labels = ["namespace", "retrainpolicy", "trigger"]
    value = GaugeMetricFamily("perennial_trigger_value", "Value that a trigger last saw.", labels=labels)
    limit = GaugeMetricFamily(
        "perennial_trigger_limit", "What that value must not be below or above.", labels=[*labels, "side"]
    )
    state = GaugeMetricFamily("perennial_trigger_state", "1 for the state of a trigger.", labels=[*labels, "state"])
    active = GaugeMetricFamily("perennial_runs_under_way", "Runs of a policy under way.", labels=labels[:2])
    unpromoted = GaugeMetricFamily(
        "perennial_unpromoted_runs", "Runs in a row that ended without a promotion.", labels=labels[:2]
    )
    for body in policies:
        status, names = _status(body), _names(body)
        active.add_metric(names, float(status.get("active", 0)))
        unpromoted.add_metric(names, float(status.get("unpromoted", 0)))
        for row in status.get("triggers") or ():
            key = (*names, row["name"])
            state.add_metric((*key, row["state"]), 1.0)
            if "value" in row:
                value.add_metric(key, float(row["value"]))
            for side in ("below", "above"):
                if side in row:
                    limit.add_metric((*key, side), float(row[side]))
    yield from (value, limit, state, active, unpromoted)


def _names(body: Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _status(body: Body) -> dict[str, Any]:
    return body.get("status") or {}
