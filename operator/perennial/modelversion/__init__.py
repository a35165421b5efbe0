"""ModelVersion: who serves a version, and what each deployment made of it, as the deployments say."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from perennial.api.conditions import MESSAGE_LIMIT
from perennial.api.modelversion import MAX_DEPLOYMENTS, DeploymentState, DeploymentVerdict, ModelVersionStatus
from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS
from perennial.config import Config
from perennial.plan import Body, Plan
from perennial.subject import read_status
from perennial.view import Controller, Name, View

_HOLDS = (DeploymentState.SERVING, DeploymentState.ROLLING_OUT)


@dataclass(frozen=True)
class Snapshot:
    """One version and the deployments of its model."""

    body: Body
    deployments: tuple[Body, ...]


def gather(view: View, namespace: str, name: str) -> Snapshot | None:
    """The snapshot of one ModelVersion, or None when it is not there."""
    body = view.get(MODELVERSIONS, namespace, name)
    if body is None:
        return None
    deployments = view.indexed(MODELDEPLOYMENTS, namespace, body["spec"]["model"])
    return Snapshot(body, tuple(sorted(deployments, key=lambda one: str(one["metadata"]["name"]))))


def decide(snapshot: Snapshot, now: datetime, config: Config) -> Plan:
    """The status that follows from the deployments; nothing is written on a version that none has looked at."""
    number = int(snapshot.body["spec"]["version"])
    before = read_status(ModelVersionStatus, snapshot.body.get("status"))
    known = {one.name: one for one in before.deployments}
    verdicts = [
        found
        for one in snapshot.deployments
        if (found := verdict(one, number) or _past(known.get(one["metadata"]["name"])))
    ]
    if not verdicts and not snapshot.body.get("status"):
        return Plan()
    # Of more than can be told, those that hold it count.
    told = sorted(verdicts, key=lambda one: one.state not in _HOLDS)[:MAX_DEPLOYMENTS]
    verdicts = sorted(told, key=lambda one: one.name)
    status = ModelVersionStatus(
        observed_generation=snapshot.body["metadata"]["generation"],
        served_by=[one.name for one in verdicts if one.state in _HOLDS],
        deployments=verdicts,
        state=", ".join(f"{one.name}={one.state}" for one in verdicts) or None,
        message=_why(verdicts),
    )
    return Plan(status=status.body())


def verdict(deployment: Body, version: int) -> DeploymentVerdict | None:
    """What a deployment's status says of one version."""
    name, status = deployment["metadata"]["name"], deployment.get("status") or {}
    promotions = status.get("promotions") or ()
    if (
        promotions
        and promotions[0].get("version") == version
        and promotions[0]["revision"] == status.get("stableRevision")
    ):
        words = f"it serves since {promotions[0]['time']}"
        return DeploymentVerdict(name=name, state=DeploymentState.SERVING, reason="Promoted", message=words)
    for candidate in status.get("candidates") or ():
        if candidate.get("version") == version:
            return DeploymentVerdict(
                name=name,
                state=DeploymentState(candidate["state"]),
                reason=candidate["reason"],
                message=candidate.get("message", ""),
            )
    for veto in status.get("vetoes") or ():
        if veto.get("version") == version and not veto.get("evaluation"):
            return DeploymentVerdict(
                name=name, state=DeploymentState.VETOED, reason=veto["reason"], message=veto.get("message", "")
            )
    for later, promotion in pairwise(promotions):
        if promotion.get("version") == version:
            words = f"it served until {later['time']}; {_words(later)} took its place"
            return DeploymentVerdict(name=name, state=DeploymentState.SUPERSEDED, reason="Replaced", message=words)
    return None


def _why(verdicts: list[DeploymentVerdict]) -> str | None:
    if len(verdicts) == 1:
        return verdicts[0].message[:MESSAGE_LIMIT] or None
    return "; ".join(f"{one.name}: {one.message}" for one in verdicts if one.message)[:MESSAGE_LIMIT] or None


def _past(known: DeploymentVerdict | None) -> DeploymentVerdict | None:
    """What is left of a deployment's word when it has gone on: why it never served this version, say."""
    if known is None or known.state in (DeploymentState.REJECTED, DeploymentState.VETOED, DeploymentState.SUPERSEDED):
        return known
    words = "the deployment went on with another version"
    return DeploymentVerdict(name=known.name, state=DeploymentState.SUPERSEDED, reason="Superseded", message=words)


def _words(promotion: Body) -> str:
    version = promotion.get("version")
    return f"version {version}" if version else str(promotion["uri"])


def _of_deployment(view: View, deployment: Body) -> Iterable[Name]:
    namespace, model = deployment["metadata"]["namespace"], (deployment["spec"].get("model") or {}).get("name")
    for version in view.indexed(MODELVERSIONS, namespace, model) if model else ():
        yield Name(namespace, version["metadata"]["name"])


CONTROLLER = Controller(
    resource=MODELVERSIONS, gather=gather, decide=decide, watches={MODELDEPLOYMENTS: _of_deployment}
)
