"""The status of a ModelDeployment: what is served, and what is about to be."""

from datetime import datetime

from perennial.analysis import AnalysisStatus
from perennial.api.base import read_count
from perennial.api.conditions import Said, merge
from perennial.api.meta import (
    LABEL_MODEL_VERSION,
    LABEL_MODELDEPLOYMENT,
    LABEL_REVISION,
)
from perennial.api.modeldeployment import Candidate, RevisionStatus, Rollout, Traffic
from perennial.api.modelversion import DeploymentState
from perennial.modeldeployment.act import Act
from perennial.modeldeployment.analysis import begins
from perennial.modeldeployment.candidate import version_name
from perennial.modeldeployment.children import address
from perennial.modeldeployment.conditions import conditions, serving
from perennial.modeldeployment.failure import last_failure
from perennial.modeldeployment.led import Led
from perennial.modeldeployment.revision import Model
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import Snapshot
from perennial.modeldeployment.words import preview_address, rolling_words
from perennial.plan import Body
from perennial.strategies.step import weight

_SHOWN = 20
_PAUSED = "it waits for spec.paused to be false"


def report(scene: Scene, doing: Act, *, turns: bool = False) -> Body:
    """The whole status as it should be written. `turns`: alone, before anything is done."""
    memory, revisions = scene.memory, _revisions(scene, turns=turns)
    status = memory.model_copy(
        update={
            "observed_generation": scene.seen.generation,
            "selector": _selector(scene),
            "replicas": sum(scene.pods(name).present for name in scene.seen.deployments),
            "ready_replicas": serving(scene),
            "url": address(scene.seen, scene.seen.name),
            "preview_url": preview_address(scene),
            "model_version": version_name(Model.of_promotion(memory.promotions[0])) if memory.promotions else None,
            "stable_revision": scene.stable,
            "traffic": _traffic(scene),
            "rollout": _rollout(scene),
            "candidates": _candidates(scene),
            "revisions": revisions,
        }
    )
    said = conditions(scene, doing)
    return status.body() | {"conditions": merge(scene.seen.conditions, said, scene.now, scene.seen.generation)}


def _selector(scene: Scene) -> str:
    """The pods that get requests. An autoscaler takes the mean of what it selects: idle ones would hide a load."""
    every = f"{LABEL_MODELDEPLOYMENT}={scene.seen.name}"
    service, _, weight, matched, _ = scene.led
    if scene.scaled_apart:
        return f"{every},{LABEL_REVISION}={scene.incoming if scene.handed_over else scene.stable}"
    if service is None or weight or matched:
        return every
    return f"{every},{LABEL_REVISION}={service}"


def _traffic(scene: Scene) -> Traffic | None:
    known = scene.memory.traffic
    if scene.seen.service is None:
        return None
    now = Traffic(
        revision=scene.led.service,
        preview_revision=scene.led.preview,
        preview_weight=scene.led.weight,
        preview_matched=scene.led.matched,
        preview_mirrored=scene.led.mirrored,
        since=scene.now,
    )
    if known is not None and Led.told(known) == scene.led:
        now = now.model_copy(update={"since": known.since})
    if scene.memory.rollout is None or scene.stable is None:
        return now
    told = {
        "mechanism": _mechanism(scene),
        "requested_weight": scene.stage.key.percent if scene.stage.key else scene.stage.weight,
        "actual_weight": _taken_weight(scene) if scene.routed else weight(scene.state),
    }
    return now.model_copy(update=told)


def _mechanism(scene: Scene) -> str:
    if scene.routed:
        return "RequestMirror" if scene.stage.mirrored else "HTTPRoute"
    return scene.strategy.mechanism


def _taken_weight(scene: Scene) -> int:
    """Percent for the new revision as the gateways have taken it, which may be another than the route says."""
    return scene.led.weight or 0 if scene.led.preview == scene.incoming else 0


def _rollout(scene: Scene) -> Rollout | None:
    rolling = scene.memory.rollout
    if rolling is None:
        return None
    ready, aim = scene.state.incoming.ready, scene.aim.incoming
    update: dict[str, object] = {
        "message": rolling_words(scene),
        "strategy": rolling.strategy or scene.strategy_hash,
        "held": scene.held,
    }
    if rolling.held and not scene.held:
        update["progress_time"] = scene.now
    # One that had all its pods and lost some is waited for anew.
    if ready > rolling.ready_replicas or rolling.ready_replicas >= aim > ready:
        update |= {"ready_replicas": ready, "progress_time": scene.now}
    if rolling.step_time is None and scene.arrived:
        update["step_time"] = scene.now
    if rolling.analysis is None and begins(scene):
        update["analysis"] = AnalysisStatus(start_time=scene.now)
    return rolling.model_copy(update=update)


def _candidates(scene: Scene) -> list[Candidate]:
    candidates, model = list(scene.choice.candidates), scene.choice.model
    if model and scene.target != scene.stable:
        state, reason, message = DeploymentState.WAITING, "Paused", _PAUSED
        if scene.memory.rollout and scene.memory.rollout.revision == scene.target:
            state, reason, message = DeploymentState.ROLLING_OUT, "RollingOut", rolling_words(scene)
        elif not scene.spec.replicas:
            reason, message = "ScaledToZero", "spec.replicas is 0: it is rolled out as soon as there are replicas"
        candidates.append(Candidate(version=model.version, state=state, reason=reason, message=message))
    return sorted(candidates, key=lambda one: one.version or 0, reverse=True)[:_SHOWN]


def _revisions(scene: Scene, *, turns: bool) -> list[RevisionStatus]:
    # Also those that are about to be made, and those that vanished until they have been looked for.
    vanished = [past.name for past in scene.memory.revisions] if turns else []
    names = [name for name in dict.fromkeys((scene.stable, scene.incoming, *scene.leaving, *vanished)) if name]
    return [_revision(scene, name) for name in names]


def _revision(scene: Scene, name: str) -> RevisionStatus:
    pods, failure = scene.pods(name), scene.failure(name)
    # A pod that came right again does not take back what it went through: running out of memory now and then, say.
    last = failure or last_failure(scene.seen.pods.get(name, ()))
    if not pods.wanted:
        state = "ScaledDown"
    elif pods.ready:
        state = "Ready"
    else:
        state = "Failed" if failure and (failure.hopeless or failure.crashing) else "Loading"
    deployment, model = scene.seen.deployments.get(name), scene.model_of(name)
    label = (deployment or {"metadata": {}})["metadata"].get("labels", {}).get(LABEL_MODEL_VERSION)
    return RevisionStatus(
        name=name,
        version=read_count(label) or (model.version if model else None),
        model_state=state,
        replicas=pods.wanted,
        ready_replicas=pods.ready,
        last_failure=last.message if last and pods.wanted else None,
    )


def unreadable(seen: Snapshot, now: datetime) -> Body:
    """The status of an object whose spec cannot be read: what was decided stays, and what runs is left alone."""
    message = f"{seen.invalid}; what runs is left as it is"
    said = [Said("Ready", False, "InvalidSpec", message), Said("Stalled", True, "InvalidSpec", message)]
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    return status.body() | {"conditions": merge(seen.conditions, said, now, seen.generation)}
