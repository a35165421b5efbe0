"""The turns of a rollout: what is decided once, written to status, and acted on only after that.

An ordered tuple of rules; the first that applies is the turn. Each gives the memory as it will be and the events.
"""

from collections.abc import Callable, Sequence

from perennial.api.modeldeployment import Promotion, Rollout
from perennial.modeldeployment.byhand import BY_HAND
from perennial.modeldeployment.candidate import RELAPSED, version_name
from perennial.modeldeployment.failure import SILENT, Failure, unready
from perennial.modeldeployment.revision import Model
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.steps import STEPS
from perennial.modeldeployment.turn import REMEMBERED, Turn, rolled_back, vetoed, with_vetoes
from perennial.plan import Event

_MALFORMED = ("Invalid", "BadRequest")


def _called_off(scene: Scene) -> Turn | None:
    """What is rolled out is not wanted any more, and nothing else is."""
    if scene.memory.rollout is None or _wanted(scene):
        return None
    message = f"the rollout of {scene.memory.rollout.revision} was called off"
    return Turn(scene.memory.model_copy(update={"rollout": None}), (Event("Normal", "RolloutCalledOff", message),))


def _begun(scene: Scene) -> Turn | None:
    """Something else is wanted than what serves or is rolled out: it starts, from the stable revision."""
    model, rolling = scene.choice.model, scene.memory.rollout
    if not _wanted(scene) or model is None or (rolling and rolling.revision == scene.target) or scene.spec.paused:
        return None
    begun = Rollout(
        revision=scene.target or "",
        version=model.version,
        start_time=scene.now,
        progress_time=scene.now,
        strategy=scene.strategy_hash,
        steps_skipped=_recent(scene),
        gate_skipped=scene.choice.gate_skipped,
    )
    instead = f", instead of {rolling.revision}" if rolling else ""
    message = f"rolling out {_words(model)} as {scene.target}{instead}"
    events = [Event("Normal", "RolloutStarted", message)]
    if begun.gate_skipped:
        events.append(Event("Warning", "GateSkipped", begun.gate_skipped))
    return Turn(scene.memory.model_copy(update={"rollout": begun}), tuple(events))


def _relapsed(scene: Scene) -> Turn | None:
    """What serves turned out not to be good: it is vetoed, whatever its template, and what served before comes back."""
    served = scene.memory.promotions[0] if scene.memory.promotions else None
    if served is None or served.version is None:
        return None
    known = [veto for veto in scene.memory.vetoes if veto.reason == RELAPSED and veto.version == served.version]
    for relapse in scene.seen.relapses:
        mine = relapse.model_version == version_name(Model.of_promotion(served)) and relapse.time >= served.time
        if mine and not any(veto.time >= served.time for veto in known):
            veto = vetoed(scene, served.revision, served.version, RELAPSED, relapse.message)
            memory = scene.memory.model_copy(update={"vetoes": with_vetoes(scene, veto)})
            return Turn(memory, (Event("Warning", RELAPSED, f"{scene.named(served.revision)}: {relapse.message}"),))
    return None


def _vetoed(scene: Scene) -> Turn | None:
    """The revision that is rolled out failed: it is vetoed, and the stable one stays or comes back."""
    rolling = scene.memory.rollout
    if rolling is None or scene.state.incoming.ready >= scene.aim.incoming > 0:
        return None
    failure = _final_failure(scene, rolling)
    return rolled_back(scene, rolling, failure.reason, failure.message) if failure else None


def _final_failure(scene: Scene, rolling: Rollout) -> Failure | None:
    """What ends a rollout. With nothing to go back to, only what cannot come right: anything else is tried on."""
    failure = scene.failure(rolling.revision)
    if failure and failure.hopeless:
        return failure
    if scene.stable is None:
        return None
    refusal = scene.seen.refusal
    if refusal and refusal.name == rolling.revision and refusal.reason in _MALFORMED:
        return Failure(refusal.reason, f"the Deployment was refused: {refusal.message}")
    if failure and failure.crashing:
        return failure
    if scene.deadline is None or scene.now < scene.deadline:
        return None
    words = f"no more pod became ready within {scene.spec.progress_deadline_seconds} s"
    if failure:
        return Failure(failure.reason, f"{words}: {failure.message}")
    if refusal and refusal.name == rolling.revision:
        return Failure(refusal.reason, f"{words}: {refusal.message}")
    why = unready(scene.seen.pods.get(rolling.revision, ())) or SILENT
    return Failure("ProgressDeadlineExceeded", f"{words}: {why}")


def _promoted(scene: Scene) -> Turn | None:
    """The last stage is over: the incoming revision is the stable one from now on."""
    rolling, model = scene.memory.rollout, scene.choice.model
    if rolling is None or model is None or scene.spec.paused or not scene.stage_over:
        return None
    record = Promotion(
        revision=rolling.revision,
        model=model.name,
        version=model.version,
        digest=model.digest,
        uri=model.uri,
        format=model.format,
        storage=model.storage,
        time=scene.now,
        evaluation=rolling.evaluation,
        gate_skipped=rolling.gate_skipped,
    )
    memory = scene.memory.model_copy(
        update={"rollout": None, "promotions": [record, *scene.memory.promotions][:REMEMBERED]}
    )
    return Turn(memory, (Event("Normal", "Promoted", f"{_words(model)} serves as {rolling.revision}"),))


def _recent(scene: Scene) -> str | None:
    """Why the steps are left out from the beginning: the revision served here not long ago."""
    last = scene.memory.promotions[:1]
    if any(veto.reason == RELAPSED and veto.revision == one.revision for one in last for veto in scene.memory.vetoes):
        return f"{scene.named(last[0].revision)} relapsed"
    window = scene.spec.rollback_window
    served = list(dict.fromkeys(past.revision for past in scene.memory.promotions[1:]))
    if window is None or scene.target not in served[: window.revisions]:
        return None
    return f"it is one of the {window.revisions} that served here last (spec.rollbackWindow)"


TURNS: Sequence[Callable[[Scene], Turn | None]] = (
    *BY_HAND,
    _relapsed,
    _called_off,
    _begun,
    _vetoed,
    *STEPS,
    _promoted,
)


def turn(scene: Scene) -> Turn | None:
    """The turn that is due; None when there is nothing to decide."""
    return next((found for rule in TURNS if (found := rule(scene))), None)


def _wanted(scene: Scene) -> bool:
    """Whether something is to be rolled out. With no replicas nothing can be shown to work, so it waits for some."""
    return scene.target is not None and scene.target != scene.stable and scene.spec.replicas > 0


def _words(model: Model) -> str:
    return version_name(model) or model.uri
