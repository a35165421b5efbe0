"""The status of a ModelDeployment: what is served, what is about to be, and the conditions in words."""

from collections.abc import Iterable
from datetime import datetime

from perennial import dropped
from perennial.analysis import AnalysisStatus, Verdict
from perennial.api.base import read_count
from perennial.api.conditions import Said, merge
from perennial.api.meta import (
    ANNOTATION_RENDERED,
    ANNOTATION_SKIP_STEP,
    LABEL_MODEL_VERSION,
    LABEL_MODELDEPLOYMENT,
    LABEL_REVISION,
)
from perennial.api.modeldeployment import Candidate, ReadyWhen, RevisionStatus, Rollout, Traffic
from perennial.api.modelversion import DeploymentState
from perennial.api.resources import HTTPROUTES
from perennial.modeldeployment.act import Act
from perennial.modeldeployment.analysis import begins, unanswered
from perennial.modeldeployment.candidate import Block, by_annotation, version_name
from perennial.modeldeployment.companions import unscaled
from perennial.modeldeployment.failure import last_failure, unready
from perennial.modeldeployment.pod import Unrenderable, pod_template
from perennial.modeldeployment.revision import Model, digest_of
from perennial.modeldeployment.route import pending, refused
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import COMPANIONS, Snapshot, preview_name
from perennial.plan import Body
from perennial.strategies.step import weight

_SHOWN = 20
_PAUSED = "it waits for spec.paused to be false"
_NO_GATEWAY_API = (
    "spec.route: this cluster does not know HTTPRoutes (gateway.networking.k8s.io/v1): install the Gateway API and a "
    "gateway, or leave spec.route out"
)
_HELD = (DeploymentState.WAITING, DeploymentState.REJECTED)


def report(scene: Scene, doing: Act, *, turns: bool = False) -> Body:
    """The whole status as it should be written. `turns`: alone, before anything is done."""
    memory, revisions = scene.memory, _revisions(scene, turns=turns)
    status = memory.model_copy(
        update={
            "observed_generation": scene.seen.generation,
            "selector": _selector(scene),
            "replicas": sum(scene.pods(name).present for name in scene.seen.deployments),
            "ready_replicas": _serving(scene),
            "url": _url(scene, scene.seen.name),
            "preview_url": _preview(scene),
            "model_version": version_name(Model.of_promotion(memory.promotions[0])) if memory.promotions else None,
            "stable_revision": scene.stable,
            "traffic": _traffic(scene),
            "rollout": _rollout(scene),
            "candidates": _candidates(scene),
            "revisions": revisions,
        }
    )
    said = _conditions(scene, doing)
    return status.body() | {"conditions": merge(scene.seen.conditions, said, scene.now, scene.seen.generation)}


def _selector(scene: Scene) -> str:
    """The pods that get requests. An autoscaler takes the mean of what it selects: idle ones would hide a load."""
    every = f"{LABEL_MODELDEPLOYMENT}={scene.seen.name}"
    if scene.selected is None or scene.preview_weight or scene.preview_matched:
        return every
    return f"{every},{LABEL_REVISION}={scene.selected}"


def _url(scene: Scene, service: str) -> str:
    return f"http://{service}.{scene.seen.namespace}.svc"


def _preview(scene: Scene) -> str | None:
    shown = scene.strategy.preview or scene.routed
    return _url(scene, preview_name(scene.seen.name)) if shown else None


def _traffic(scene: Scene) -> Traffic | None:
    known = scene.memory.traffic
    if scene.seen.service is None:
        return None
    revision, previewed, preview_weight, matched = scene.led
    now = Traffic(
        revision=revision,
        preview_revision=previewed,
        preview_weight=preview_weight,
        preview_matched=matched,
        since=scene.now,
    )
    if known is not None and known.led == now.led:
        now = now.model_copy(update={"since": known.since})
    if scene.memory.rollout is None or scene.stable is None:
        return now
    told = {
        "mechanism": "HTTPRoute" if scene.routed else scene.strategy.mechanism,
        "requested_weight": scene.stage.weight,
        "actual_weight": _taken_weight(scene) if scene.routed else weight(scene.state),
    }
    return now.model_copy(update=told)


def _taken_weight(scene: Scene) -> int:
    """Percent for the new revision as the gateways have taken it, which may be another than the route says."""
    return scene.preview_weight or 0 if scene.previewed == scene.incoming else 0


def _rollout(scene: Scene) -> Rollout | None:
    rolling = scene.memory.rollout
    if rolling is None:
        return None
    ready, aim = scene.state.incoming.ready, scene.aim.incoming
    update: dict[str, object] = {
        "message": _rolling_words(scene),
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


def _rolling_words(scene: Scene) -> str:
    stages, step = scene.stages, scene.step
    words = f"step {step + 1} of {len(stages)}, {scene.stage.words}: " if 1 < len(stages) > step else ""
    return f"{words}{_waiting_words(scene)}"


def _waiting_words(scene: Scene) -> str:
    ready, aim = scene.state.incoming.ready, scene.aim
    failure = scene.failure(scene.incoming)
    words = f"{ready} of {aim.incoming} replicas ready"
    if aim.obstacle:
        return aim.obstacle
    if scene.spec.paused:
        return f"{words}; paused by spec.paused"
    if ready < aim.incoming:
        return f"{words}; {failure.message}" if failure else words
    if not scene.arrived:
        waits = pending(scene.seen.route) if scene.routed else ""
        return f"{words}; traffic moves over{f': {waits}' if waits else ''}"
    got = f"gets {weight(scene.state)}% of the requests"
    if scene.routed and scene.stage.match:
        got += ", and all that match"
    if scene.strategy.preview and not scene.stage.weight:
        got = f"answers at {_preview(scene)}"
    if scene.stage.analysed and not scene.passed:
        return f"{got}, until its analysis passes{_found(scene)}"
    if scene.stage.hold is None:
        return f"{got}, until a person goes on: {by_annotation(scene.seen.name, ANNOTATION_SKIP_STEP)}"
    return f"{got}, until {scene.stage_ends:%H:%M:%S} UTC" if scene.stage_ends else got


def _found(scene: Scene) -> str:
    """What the analysis found last that is no pass."""
    record = scene.memory.rollout.analysis if scene.memory.rollout else None
    words = [one.message for one in record.metrics if one.verdict != Verdict.PASS] if record else []
    return f": {'; '.join(words)}" if words else ""


def _candidates(scene: Scene) -> list[Candidate]:
    candidates, model = list(scene.choice.candidates), scene.choice.model
    if model and scene.target != scene.stable:
        state, reason, message = DeploymentState.WAITING, "Paused", _PAUSED
        if scene.memory.rollout and scene.memory.rollout.revision == scene.target:
            state, reason, message = DeploymentState.ROLLING_OUT, "RollingOut", _rolling_words(scene)
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


def _conditions(scene: Scene, doing: Act) -> list[Said]:
    refused = _refused(scene, doing)
    block = (
        refused
        or _overdue(scene)
        or _obstacle(scene)
        or _unanswered(scene)
        or _unrouted(scene)
        or (None if scene.memory.rollout else _lost(doing) or scene.choice.block)
    )
    rolling = scene.memory.rollout is not None
    ready = _ready(scene, block)
    said = [
        ready,
        _available(scene),
        Said("Progressing", True, "RollingOut", _rolling_words(scene))
        if rolling
        else Said("Progressing", False, ready.reason, ready.message),
    ]
    if block and block.stalled:
        said.append(Said("Stalled", True, block.reason, block.message))
    elif not ready.status:
        said.append(Said("Reconciling", True, ready.reason, ready.message))
    runs = [scene.seen.deployments.get(name or "") for name in (scene.incoming, scene.stable)]
    return [*said, *_update_available(scene), *dropped.said(runs), *unscaled(scene)]


def _refused(scene: Scene, doing: Act) -> Block | None:
    refusal = scene.seen.refusal
    if refusal is None or (refusal.resource.kind, refusal.name) not in doing.names:
        return None
    field = f"spec.{COMPANIONS[refusal.resource]}: " if refusal.resource in COMPANIONS else ""
    if refusal.resource == HTTPROUTES:
        if refusal.reason == "NotFound":
            return Block("GatewayAPIMissing", _NO_GATEWAY_API, stalled=True)
        field = "spec.route: "
    return Block(refusal.reason, f"{field}{refusal.resource.kind} {refusal.name}: {refusal.message}", stalled=True)


def _overdue(scene: Scene) -> Block | None:
    """A first revision is not given up, but nobody should take it for well."""
    if scene.stable is not None or scene.deadline is None or scene.now < scene.deadline:
        return None
    failure = scene.failure(scene.incoming)
    words = f"not ready within {scene.spec.progress_deadline_seconds} s, and tried on: {_rolling_words(scene)}"
    return Block(failure.reason if failure else "ProgressDeadlineExceeded", words, stalled=True)


def _obstacle(scene: Scene) -> Block | None:
    if scene.memory.rollout is None or scene.spec.paused or not scene.aim.obstacle:
        return None
    return Block("WeightNotPossible", _rolling_words(scene), stalled=True)


def _unanswered(scene: Scene) -> Block | None:
    reason = unanswered(scene)
    if reason is None:
        return None
    how = by_annotation(scene.seen.name, ANNOTATION_SKIP_STEP)
    said = f"{_rolling_words(scene)}. More samples, or a person, decide: {how} (or perennial.dev/abort)"
    return Block(reason, said, stalled=True)


def _unrouted(scene: Scene) -> Block | None:
    """Who calls from outside does not get here. In a rollout a gateway has to take one change after the other."""
    route = scene.seen.route
    if scene.spec.route is None or route is None:
        return None
    if said := refused(route):
        return Block("RouteNotAccepted", f"HTTPRoute {scene.seen.name}: {said}", stalled=True)
    if scene.memory.rollout or not (waits := pending(route)):
        return None
    return Block("RouteNotAccepted", f"HTTPRoute {scene.seen.name}: {waits}", stalled=False)


def _lost(doing: Act) -> Block | None:
    if doing.lost is None:
        return None
    return Block(
        "RevisionLost",
        f"Deployment {doing.lost} was deleted, and the spec that it was made from has changed: undo the change, or "
        "annotate with a new value of perennial.dev/retry to roll out what the spec says now",
        stalled=True,
    )


def _ready(scene: Scene, block: Block | None) -> Said:
    if block:
        return Said("Ready", False, block.reason, block.message)
    if rolling := scene.memory.rollout:
        words = f"{scene.named(rolling.revision)}: {_rolling_words(scene)}"
        # From then on: each step has its pods on the way for a moment.
        serves = rolling.step > 0 or rolling.step_time is not None
        if serves and scene.spec.ready_when is ReadyWhen.CANARY_SERVING:
            return Said("Ready", True, "CanaryServing", words)
        return Said("Ready", False, "RollingOut", words)
    if not scene.spec.replicas:
        return Said("Ready", True, "ScaledToZero", "spec.replicas is 0: nothing runs, as asked")
    pods = scene.pods(scene.stable)
    words = f"{pods.ready} of {scene.spec.replicas} replicas ready"
    if pods.ready < scene.spec.replicas:
        failure = scene.failure(scene.stable)
        why = failure.message if failure else unready(scene.seen.pods.get(scene.stable or "", ()))
        return Said("Ready", False, "ReplicasNotReady", f"{words}; {why}" if why else words)
    # Why a newer one is not served is what people come to look for.
    held = next((one for one in scene.choice.candidates if one.state in _HELD), None)
    return Said("Ready", True, "Serving", f"{words}; {held.message}" if held else words)


def _available(scene: Scene) -> Said:
    if not scene.spec.replicas:
        return Said("Available", False, "ScaledToZero", "spec.replicas is 0")
    if serving := _serving(scene):
        return Said("Available", True, "Serving", "1 pod answers" if serving == 1 else f"{serving} pods answer")
    return Said("Available", False, "NoReadyReplica", "no pod is ready to answer")


def _serving(scene: Scene) -> int:
    """Ready pods that the Service sends requests to: not those that are kept warm."""
    if scene.seen.service is None:
        return 0
    selected = scene.seen.deployments if scene.selected is None else (scene.selected,)
    return sum(scene.pods(name).ready for name in selected)


def _update_available(scene: Scene) -> Iterable[Said]:
    """The operator or a preset would render the stable revision differently now; it is not restarted for that."""
    deployment, model = scene.seen.deployments.get(scene.stable or ""), scene.model_of(scene.stable)
    if deployment is None or model is None:
        return
    try:
        template = pod_template(scene.seen.name, scene.spec, model, scene.stable or "", scene.config)
    except Unrenderable:
        return
    if deployment["metadata"].get("annotations", {}).get(ANNOTATION_RENDERED) != digest_of(template):
        yield Said(
            "UpdateAvailable",
            True,
            "PresetChanged",
            "a new pod would be made from another preset or operator; the next version takes it, and so does any "
            "change of spec.template, such as an annotation",
        )


def unreadable(seen: Snapshot, now: datetime) -> Body:
    """The status of an object whose spec cannot be read: what was decided stays, and what runs is left alone."""
    message = f"{seen.invalid}; what runs is left as it is"
    said = [Said("Ready", False, "InvalidSpec", message), Said("Stalled", True, "InvalidSpec", message)]
    status = seen.status.model_copy(update={"observed_generation": seen.generation})
    return status.body() | {"conditions": merge(seen.conditions, said, now, seen.generation)}
