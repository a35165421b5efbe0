"""The conditions of a ModelDeployment: whether it is as it should be, why not, and what a person has to do."""

from collections.abc import Iterable

from perennial import dropped
from perennial.api.base import digest_of
from perennial.api.conditions import Said
from perennial.api.meta import ANNOTATION_RENDERED, ANNOTATION_SKIP_STEP
from perennial.api.modeldeployment import ReadyWhen
from perennial.api.modelversion import DeploymentState
from perennial.api.resources import HTTPROUTES
from perennial.modeldeployment import checks
from perennial.modeldeployment.act import Act
from perennial.modeldeployment.analysis import unanswered
from perennial.modeldeployment.autoscaler import unscaled
from perennial.modeldeployment.candidate import Block, by_annotation
from perennial.modeldeployment.failure import unready
from perennial.modeldeployment.pod import Unrenderable, pod_template
from perennial.modeldeployment.route import pending, refused
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import COMPANIONS
from perennial.modeldeployment.words import rolling_words

# Which field of the spec asks for a child that is beside the pods.
_FIELDS = {**COMPANIONS, HTTPROUTES: "route"}
_NO_GATEWAY_API = (
    "spec.route: this cluster does not know HTTPRoutes (gateway.networking.k8s.io/v1): install the Gateway API and a "
    "gateway, or leave spec.route out"
)
_HELD = (DeploymentState.WAITING, DeploymentState.REJECTED)


def conditions(scene: Scene, doing: Act) -> list[Said]:
    """All that is said of it now."""
    block = (
        _refused(scene, doing)
        or _overdue(scene)
        or _obstacle(scene)
        or _unanswered(scene)
        or _unrouted(scene)
        or _uncheckable(scene)
        or (None if scene.memory.rollout else _lost(doing) or scene.choice.block)
    )
    rolling = scene.memory.rollout is not None
    ready = _ready(scene, block)
    said = [
        ready,
        _available(scene),
        Said("Progressing", True, "RollingOut", rolling_words(scene))
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
    if refusal.resource == HTTPROUTES and refusal.reason == "NotFound":
        return Block("GatewayAPIMissing", _NO_GATEWAY_API, stalled=True)
    field = f"spec.{_FIELDS[refusal.resource]}: " if refusal.resource in _FIELDS else ""
    return Block(refusal.reason, f"{field}{refusal.resource.kind} {refusal.name}: {refusal.message}", stalled=True)


def _overdue(scene: Scene) -> Block | None:
    """A first revision is not given up, but nobody should take it for well."""
    if scene.stable is not None or scene.deadline is None or scene.now < scene.deadline:
        return None
    failure = scene.failure(scene.incoming)
    words = f"not ready within {scene.spec.progress_deadline_seconds} s, and tried on: {rolling_words(scene)}"
    return Block(failure.reason if failure else "ProgressDeadlineExceeded", words, stalled=True)


def _obstacle(scene: Scene) -> Block | None:
    if scene.memory.rollout is None or scene.spec.paused or not scene.obstacle:
        return None
    return Block(scene.obstacle, rolling_words(scene), stalled=True)


def _unanswered(scene: Scene) -> Block | None:
    reason = unanswered(scene)
    if reason is None:
        return None
    how = by_annotation(scene.seen.name, ANNOTATION_SKIP_STEP)
    said = f"{rolling_words(scene)}. More samples, or a person, decide: {how} (or perennial.dev/abort)"
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


def _uncheckable(scene: Scene) -> Block | None:
    """Told before the first look would fail."""
    words = checks.invalid(scene)
    return Block("InvalidSpec", words, stalled=True) if words else None


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
        words = f"{scene.named(rolling.revision)}: {rolling_words(scene)}"
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
    if pods := serving(scene):
        return Said("Available", True, "Serving", "1 pod answers" if pods == 1 else f"{pods} pods answer")
    return Said("Available", False, "NoReadyReplica", "no pod is ready to answer")


def _update_available(scene: Scene) -> Iterable[Said]:
    """The operator or a preset would render the stable revision differently now; it is not restarted for that."""
    deployment, model = scene.seen.deployments.get(scene.stable or ""), scene.model_of(scene.stable)
    if deployment is None or model is None:
        return
    try:
        template = pod_template(
            scene.seen.namespace, scene.seen.name, scene.spec, model, scene.stable or "", scene.config
        )
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


def serving(scene: Scene) -> int:
    """Ready pods that the Service sends requests to: not those that are kept warm."""
    if scene.seen.service is None:
        return 0
    selected = scene.seen.deployments if scene.led.service is None else (scene.led.service,)
    return sum(scene.pods(name).ready for name in selected)
