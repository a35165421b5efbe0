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


def rolled_back(scene: Scene, rolling: Rollout, reason: str, message: str) -> Turn:
    """The turn in which the revision that is rolled out is vetoed."""
    veto = Veto(revision=rolling.revision, version=rolling.version, reason=reason, message=message, time=scene.now)
    memory = scene.memory.model_copy(update={"rollout": None, "vetoes": with_vetoes(scene, veto)})
    kept = f"; {scene.named(scene.stable)} keeps serving" if scene.stable else ""
    words = f"{scene.named(rolling.revision)}: {message}{kept}"
    return Turn(memory, (Event("Warning", "RolledBack", words),))


def with_vetoes(scene: Scene, *vetoes: Veto) -> list[Veto]:
    """The vetoes with these, each in the place of an older one on the same revision."""
    new = {veto.revision for veto in vetoes}
    return [*vetoes, *(veto for veto in scene.memory.vetoes if veto.revision not in new)][:REMEMBERED]
