"""The decision on a ModelDeployment: first what turns, alone and on record; else what is to be done, and the status."""

from collections.abc import Iterable
from datetime import datetime

from perennial.api.modelversion import DeploymentState
from perennial.config import Config
from perennial.modeldeployment import checks, trials
from perennial.modeldeployment.act import act
from perennial.modeldeployment.analysis import questions
from perennial.modeldeployment.scene import Scene, look
from perennial.modeldeployment.snapshot import Snapshot
from perennial.modeldeployment.status import report, unreadable
from perennial.modeldeployment.turns import turn
from perennial.plan import Event, Plan, news


def decide(seen: Snapshot, now: datetime, config: Config) -> Plan:
    """The plan for one ModelDeployment."""
    if seen.spec is None:
        status = unreadable(seen, now)
        return Plan(status=status, events=tuple(news(seen.conditions, status["conditions"])))
    scene = look(seen, seen.spec, seen.status, now, config)
    taken = turn(scene)
    if taken:
        after = look(seen, seen.spec, taken.memory, now, config)
        return Plan(
            status=report(after, act(after), turns=True),
            events=(*taken.events, *_rejections(after)),
            # Until the turn is on record, what it was decided on is kept.
            questions=(*questions(scene), *checks.rehearsals(scene)),
        )
    doing = act(scene)
    status = report(scene, doing)
    return Plan(
        actions=doing.actions,
        status=status,
        events=tuple(dict.fromkeys((*_told(scene), *news(seen.conditions, status["conditions"])))),
        questions=(*questions(scene), *checks.rehearsals(scene)),
        requeue_after=_next_look(scene),
    )


def _rejections(scene: Scene) -> Iterable[Event]:
    """Versions that are held back for good, told once each."""
    told = {(one.version, one.reason, one.message) for one in scene.seen.status.candidates}
    for one in scene.choice.candidates:
        if one.state == DeploymentState.REJECTED and (one.version, one.reason, one.message) not in told:
            yield Event("Warning", one.reason, one.message)


def _told(scene: Scene) -> Iterable[Event]:
    yield from _rejections(scene)
    rolling, before = scene.memory.rollout, scene.seen.status.rollout
    failure = scene.failure(rolling.revision) if rolling else None
    if rolling and failure and (before is None or failure.message not in before.message):
        yield Event("Warning", failure.reason, f"{scene.named(rolling.revision)}: {failure.message}")


def _next_look(scene: Scene) -> float | None:
    """Seconds until time alone changes something: endpoints settle, a deadline passes, a warm revision may go."""
    due = [scene.settled_at]
    if scene.memory.rollout:
        due += [scene.deadline, scene.stage_ends, scene.next_look, trials.lost_at(scene), checks.lost_at(scene)]
    if scene.warm and scene.pods(scene.warm).count:
        due.append(scene.warm_until)
    return min(((at - scene.now).total_seconds() for at in due if at and at > scene.now), default=None)
