"""A turn of a rollout: what is decided once, as the memory and the events after it."""

from dataclasses import dataclass

from perennial.api.modeldeployment import ModelDeploymentStatus, Rollout, Veto
from perennial.modeldeployment.scene import Scene
from perennial.plan import Event

REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """The memory after a turn, and what is told of it."""

    memory: ModelDeploymentStatus
    events: tuple[Event, ...] = ()


def rolling_on(scene: Scene, rolling: Rollout, *events: Event, **update: object) -> Turn:
    """The turn in which something of the rollout under way changes."""
    return Turn(scene.memory.model_copy(update={"rollout": rolling.model_copy(update=update)}), events)


def about(scene: Scene, rolling: Rollout, reason: str, message: str, *, warning: bool = False) -> Event:
    """An event on the rollout under way."""
    return Event("Warning" if warning else "Normal", reason, f"{scene.named(rolling.revision)}: {message}")


def without_steps(scene: Scene, rolling: Rollout, why: str, words: str) -> Turn:
    """The turn in which the steps of the rollout are left out."""
    event = about(scene, rolling, "StepsSkipped", words)
    return rolling_on(scene, rolling, event, steps_skipped=why, step=0, step_time=None)


def vetoed(scene: Scene, revision: str, version: int | None, reason: str, message: str) -> Veto:
    """The veto on a revision, from now on."""
    return Veto(revision=revision, version=version, reason=reason, message=message, time=scene.now)


def rolled_back(scene: Scene, rolling: Rollout, reason: str, message: str) -> Turn:
    """The turn in which the revision that is rolled out is vetoed."""
    veto = vetoed(scene, rolling.revision, rolling.version, reason, message)
    memory = scene.memory.model_copy(update={"rollout": None, "vetoes": with_vetoes(scene, veto)})
    kept = f"; {scene.named(scene.stable)} keeps serving" if scene.stable else ""
    return Turn(memory, (about(scene, rolling, "RolledBack", f"{message}{kept}", warning=True),))


def with_vetoes(scene: Scene, *vetoes: Veto) -> list[Veto]:
    """The vetoes with these, each in the place of an older one on the same revision."""
    new = {veto.revision for veto in vetoes}
    return [*vetoes, *(veto for veto in scene.memory.vetoes if veto.revision not in new)][:REMEMBERED]
