"""What people ask for by annotation: each new value is one request, dealt with once."""

from collections.abc import Callable, Sequence

from perennial.api.meta import (
    ANNOTATION_ABORT,
    ANNOTATION_PROMOTE,
    ANNOTATION_RETRY,
    ANNOTATION_SKIP_STEP,
    ANNOTATION_UNDO,
)
from perennial.modeldeployment.revision import Model, revision_of
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.steps import following
from perennial.modeldeployment.turn import Turn, about, rolled_back, vetoed, with_vetoes, without_steps
from perennial.plan import Event

Ask = Callable[[Scene, str], Turn]


def _retry(scene: Scene, _: str) -> Turn:
    """The vetoes are lifted."""
    lifted = ", ".join(veto.revision for veto in scene.memory.vetoes)
    events = (Event("Normal", "Retry", f"vetoes lifted: {lifted}"),) if lifted else ()
    return Turn(scene.memory.model_copy(update={"vetoes": []}), events)


def _abort(scene: Scene, _: str) -> Turn:
    """What is rolled out is rolled back, and vetoed."""
    rolling = scene.memory.rollout
    return rolled_back(scene, rolling, "Aborted", "was aborted by hand") if rolling else _nothing(scene, "abort")


def _promote(scene: Scene, _: str) -> Turn:
    """What is rolled out gets all requests, and is promoted as soon as it can bear them."""
    rolling = scene.memory.rollout
    if rolling is None:
        return _nothing(scene, "promote")
    why = "promoted by hand"
    return without_steps(scene, rolling, why, why)


def _skip_step(scene: Scene, _: str) -> Turn:
    """The step under way is over."""
    rolling = scene.memory.rollout
    if rolling is None or scene.step >= len(scene.stages):
        return _nothing(scene, "skip")
    words = f"step {scene.step + 1} of {len(scene.stages)}, {scene.stage.words}"
    return following(scene, rolling, about(scene, rolling, "StepSkipped", words))


def _undo(scene: Scene, asked: str) -> Turn:
    """Back to a revision that was promoted here: those after it are vetoed, so that it is the choice."""
    wanted = asked.split()[0]
    past = [one for one in scene.memory.promotions if one.model is not None]
    names = list(dict.fromkeys(one.revision for one in past if one.revision != scene.stable))
    if wanted not in names:
        there = f"there are {', '.join(names)}" if names else "there is none"
        words = f"no revision {wanted!r} was promoted here before the one that serves, as far as is remembered; {there}"
        return Turn(scene.memory, (Event("Warning", "NothingToUndo", words),))
    target = next(one for one in past if one.revision == wanted)
    newer = past[: past.index(target)]
    vetoes = {}
    for one in newer:
        revision = revision_of(scene.seen.name, scene.spec, Model.of_promotion(one))
        vetoes[revision] = vetoed(scene, revision, one.version, "Undone", f"was undone by hand, back to {wanted}")
    vetoes.pop(revision_of(scene.seen.name, scene.spec, Model.of_promotion(target)), None)
    if rolling := scene.memory.rollout:
        words = f"was aborted by hand, for {wanted}"
        vetoes[rolling.revision] = vetoed(scene, rolling.revision, rolling.version, "Aborted", words)
    memory = scene.memory.model_copy(update={"rollout": None, "vetoes": with_vetoes(scene, *vetoes.values())})
    return Turn(memory, (Event("Normal", "Undone", f"back to {scene.named(wanted)}"),))


def _nothing(scene: Scene, what: str) -> Turn:
    return Turn(scene.memory, (Event("Normal", "NothingRolledOut", f"there is no rollout to {what}"),))


def _request(annotation: str, field: str, answer: Ask) -> Callable[[Scene], Turn | None]:
    def rule(scene: Scene) -> Turn | None:
        asked = scene.seen.annotations.get(annotation, "").strip()
        if not asked or asked == getattr(scene.memory, field):
            return None
        turn = answer(scene, asked)
        return Turn(turn.memory.model_copy(update={field: asked}), turn.events)

    return rule


BY_HAND: Sequence[Callable[[Scene], Turn | None]] = (
    _request(ANNOTATION_RETRY, "last_retry", _retry),
    _request(ANNOTATION_ABORT, "last_abort", _abort),
    _request(ANNOTATION_UNDO, "last_undo", _undo),
    _request(ANNOTATION_PROMOTE, "last_promote", _promote),
    _request(ANNOTATION_SKIP_STEP, "last_skip_step", _skip_step),
)
