"""How a rollout goes from one stage of its strategy to the next."""

from collections.abc import Callable, Sequence

from perennial.api.modeldeployment import Rollout
from perennial.modeldeployment import trials
from perennial.modeldeployment.analysis import ANALYSIS
from perennial.modeldeployment.route import ACCEPTED, mirrored, refused
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.turn import Turn, about, rolled_back, rolling_on, without_steps
from perennial.modeldeployment.words import share_words
from perennial.plan import Event


def _replanned(scene: Scene) -> Turn | None:
    """Another strategy than the rollout began with: its steps begin with the first."""
    rolling = scene.memory.rollout
    if rolling is None or rolling.strategy in (None, scene.strategy_hash):
        return None
    event = about(scene, rolling, "StrategyChanged", "spec.strategy was changed, and begins with its first step")
    again = {
        "step": 0, "step_time": None, "strategy": scene.strategy_hash, "progress_time": scene.now, "analysis": None,
        "golden": None, "evaluation": None,
    }  # fmt: skip
    return rolling_on(scene, rolling, event, **again)


def _refused(scene: Scene) -> Turn | None:
    """A gateway does not take the route with copies of requests in it. It may answer all of them with errors now."""
    rolling, route = scene.memory.rollout, scene.seen.route
    if rolling is None or route is None or not scene.stage.mirrored or not mirrored(route, scene.seen.name):
        return None
    said = refused(route, (ACCEPTED,))
    if not said:
        return None
    needed = "strategy.shadow needs a gateway that knows the filter RequestMirror of HTTPRoutes"
    return rolled_back(scene, rolling, "MirrorRefused", f"HTTPRoute {scene.seen.name}: {said}; {needed}")


def _hastened(scene: Scene) -> Turn | None:
    """Nothing is to be kept beside the new revision: the stable one does not work."""
    rolling = scene.memory.rollout
    if rolling is None or len(scene.stages) == 1 or scene.pods(scene.stable).ready:
        return None
    failure = scene.failure(scene.stable)
    if failure is None or not (failure.hopeless or failure.crashing):
        return None
    why = f"{scene.named(scene.stable or '')} does not work"
    return without_steps(scene, rolling, why, f"{why}: {failure.message}")


def _advanced(scene: Scene) -> Turn | None:
    """The stage under way is over, and is not the last."""
    rolling = scene.memory.rollout
    if rolling is None or scene.spec.paused or scene.step + 1 >= len(scene.stages) or not scene.stage_over:
        return None
    done = f"step {scene.step + 1} of {len(scene.stages)}, {scene.stage.words}, is done"
    return following(scene, rolling, about(scene, rolling, "StepDone", f"{done}: it {share_words(scene)}"))


def following(scene: Scene, rolling: Rollout, event: Event) -> Turn:
    """The turn to the next stage. Where that asks for the same, its time begins at once."""
    stages, step = scene.stages, scene.step + 1
    same = step < len(stages) and stages[step].asks_the_same(scene.stage) and scene.arrived
    then = {"step": step, "step_time": scene.now if same else None, "progress_time": scene.now}
    if not scene.stage.asked and step < len(stages) and stages[step].asked:
        # What was measured without requests says nothing of it with them.
        then["analysis"] = None
    return rolling_on(scene, rolling, event, **then)


STEPS: Sequence[Callable[[Scene], Turn | None]] = (_replanned, _refused, _hastened, trials.ended, *ANALYSIS, _advanced)
