"""The trials that there are. Adding one is a module and a line here, and its stage in perennial/strategies/stage.py."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from perennial.modeldeployment.evaluation import ByEvaluation
from perennial.modeldeployment.golden import GoldenRequests
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.trial import Trial
from perennial.modeldeployment.turn import Turn
from perennial.plan import Action

_TRIALS: dict[str, Trial[Any, Any]] = {one.field: one for one in (GoldenRequests(), ByEvaluation())}


def _of(scene: Scene) -> Trial[Any, Any] | None:
    """The one of the stage under way."""
    return _TRIALS.get(scene.stage.trial)


def jobs(scene: Scene) -> Iterator[Action]:
    """The Job that is due."""
    if trial := _of(scene):
        yield from trial.jobs(scene)


def ended(scene: Scene) -> Turn | None:
    """It was answered, or cannot be."""
    trial = _of(scene)
    return trial.ended(scene) if trial else None


def unanswered(scene: Scene) -> str:
    """Why there is no answer yet, as far as something keeps it from coming."""
    trial = _of(scene)
    return trial.unanswered(scene) if trial else ""


def lost_at(scene: Scene) -> datetime | None:
    """When the answer of a Job that ended well is not waited for any more."""
    trial = _of(scene)
    return trial.lost_at(scene) if trial else None
