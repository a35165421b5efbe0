"""The domain's own figures, read off what the operator itself has just written: each turn is counted once, where it is
made, and not again by the next leader.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from perennial.api.base import parse_time
from perennial.api.meta import ANNOTATION_CAUSE, LABEL_RETRAINPOLICY
from perennial.api.resources import JOBS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from perennial.telemetry import metrics

_OUTCOMES = ("Succeeded", "Failed")
# A version that waits or rolls out has no verdict yet.
_VERDICTS = ("Serving", "Rejected", "Vetoed", "Superseded")


def written(owner: Body | None, before: Body | None, after: Body) -> None:
    """Count what a write did: a child of `owner` was made (no `before`), or a status changed from one to the other."""
    if before is None:
        if count := _CREATED.get(after["kind"]):
            count(owner, after)
    elif observe := _CHANGED.get(after["kind"]):
        observe(before, after)


def _job(owner: Body | None, made: Body) -> None:
    if owner and owner["kind"] == TRAININGJOBS.kind:
        metrics.job_latency.observe(_since_creation(owner, datetime.now(UTC)))


def _training_job(_: Body | None, made: Body) -> None:
    metadata = made["metadata"]
    if LABEL_RETRAINPOLICY in metadata.get("labels", {}):
        cause = json.loads(metadata.get("annotations", {}).get(ANNOTATION_CAUSE, "{}"))
        metrics.retrains.labels(cause.get("type", "Unknown")).inc()


def _training_job_status(before: Body, after: Body) -> None:
    old, new = _status(before), _status(after)
    if new.get("phase") != old.get("phase") and new.get("phase") in _OUTCOMES:
        metrics.trainingjobs.labels(new["phase"]).inc()
    if "startTime" in new and "startTime" not in old:
        metrics.running_latency.observe(_since_creation(after, parse_time(new["startTime"])))


def _model_version_status(before: Body, after: Body) -> None:
    old = {verdict["name"]: verdict["state"] for verdict in _status(before).get("deployments", ())}
    for verdict in _status(after).get("deployments", ()):
        if verdict["state"] in _VERDICTS and old.get(verdict["name"]) != verdict["state"]:
            metrics.modelversions.labels(verdict["state"]).inc()


def _policy_status(before: Body, after: Body) -> None:
    under_way = {run["number"] for run in _status(before).get("runs", ()) if "completionTime" not in run}
    for run in _status(after).get("runs", ()):
        relapsed = "relapseTime" in run and run["number"] in _on_probation(before)
        if ("completionTime" in run and run["number"] in under_way) or relapsed:
            names = after["metadata"]["namespace"], after["metadata"]["name"]
            metrics.runs.labels(*names, run["cause"]["type"], run["phase"]).inc()


def _on_probation(body: Body) -> set[int]:
    return {run["number"] for run in _status(body).get("runs", ()) if "watchedUntil" in run}


def _status(body: Body) -> dict[str, Any]:
    return body.get("status") or {}


def _since_creation(body: Body, moment: datetime) -> float:
    created = parse_time(body["metadata"]["creationTimestamp"])
    return max(0.0, (moment - created).total_seconds())


_CREATED: dict[str, Callable[[Body | None, Body], None]] = {JOBS.kind: _job, TRAININGJOBS.kind: _training_job}
_CHANGED: dict[str, Callable[[Body, Body], None]] = {
    TRAININGJOBS.kind: _training_job_status,
    MODELVERSIONS.kind: _model_version_status,
    RETRAINPOLICIES.kind: _policy_status,
}
