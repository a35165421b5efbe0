"""A rollout in words: where it is, and what it waits for."""

from perennial.analysis import Verdict
from perennial.api.meta import ANNOTATION_SKIP_STEP
from perennial.modeldeployment import checks, trials
from perennial.modeldeployment.candidate import by_annotation
from perennial.modeldeployment.children import address
from perennial.modeldeployment.route import pending
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.strategies.step import weight


def preview_address(scene: Scene) -> str | None:
    """Where the revision that comes answers by itself, if that has an address."""
    shown = scene.previewed or scene.routed
    return address(scene.seen, preview_name(scene.seen.name)) if shown else None


def rolling_words(scene: Scene) -> str:
    """What the rollout waits for, after the step that it is at."""
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
        waits = (pending(scene.seen.route) or _no_share(scene) or _untaken(scene)) if scene.routed else ""
        return f"{words}; traffic moves over{f': {waits}' if waits else ''}"
    got = share_words(scene)
    if scene.stage.trial:
        why = trials.unanswered(scene)
        return f"its answers are compared with those of the stable revision{f'; {why}' if why else ''}"
    if scene.previewed and not scene.stage.asked:
        got = f"answers at {preview_address(scene)}"
    if scene.stage.analysed and not scene.passed:
        return f"{got}, until its analysis passes{_found(scene) or _unchecked(scene)}"
    if scene.stage.hold is None:
        return f"{got}, until a person goes on: {by_annotation(scene.seen.name, ANNOTATION_SKIP_STEP)}"
    return f"{got}, until {scene.stage_ends:%H:%M:%S} UTC" if scene.stage_ends else got


def share_words(scene: Scene) -> str:
    """Which requests the new revision gets now."""
    stage = scene.stage
    if scene.routed and stage.key:
        return f"gets the requests with {stage.key.percent}% of the keys in {stage.key.header}"
    if stage.mirrored:
        share = "all" if stage.mirrored == 100 else f"{stage.mirrored}%"
        return f"gets a copy of {share} of the requests, and nobody its answers"
    matched = ", and all that match" if scene.routed and stage.match else ""
    return f"gets {weight(scene.state)}% of the requests{matched}"


def _no_share(scene: Scene) -> str:
    """That the cluster dropped the field by which a part of the requests is copied."""
    if not 0 < scene.stage.mirrored < (scene.led.mirrored or 0):
        return ""
    return "its HTTPRoutes know no percent (the Gateway API does from 1.3): leave out strategy.shadow.percent"


def _untaken(scene: Scene) -> str:
    """That its autoscaler's pods are not yet the deployment's."""
    if scene.taken_over:
        return ""
    return f"HorizontalPodAutoscaler {scene.seen.name} has not yet written as many to spec.replicas"


def _unchecked(scene: Scene) -> str:
    """Why its Job does not begin."""
    why = checks.unanswered(scene)
    return f"; {why}" if why else ""


def _found(scene: Scene) -> str:
    """What the analysis found last that is no pass."""
    record = scene.memory.rollout.analysis if scene.memory.rollout else None
    words = [one.message for one in record.metrics if one.verdict != Verdict.PASS] if record else []
    return f": {'; '.join(words)}" if words else ""
