"""Golden requests: a Job sends them to both revisions before the new one gets any other, and its answer is judged."""

from collections.abc import Iterator
from datetime import datetime

from perennial.api.base import digest_of
from perennial.api.golden import Golden, GoldenStatus
from perennial.api.meta import LABEL_GOLDEN, LABEL_OWNED
from perennial.api.modeldeployment import Rollout
from perennial.api.resources import JOBS
from perennial.api.task import Artifact, Failure, Replayed, ReplayTask, parse_replayed
from perennial.errands import OwnJob, ends, found, given_up_at, lost
from perennial.jobs import agent_job, job_condition
from perennial.modeldeployment.children import address, beside
from perennial.modeldeployment.failure import failure_of
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.modeldeployment.turn import Turn, about, rolled_back, rolling_on
from perennial.plan import Action, Body, Create
from perennial.pods import agent_container, claim_mounts, claim_of

_CONTAINER = "replay"
_BACKOFF_LIMIT = 2
_KEPT_SECONDS = 3600


def replays(scene: Scene) -> Iterator[Action]:
    """The Job of the rollout under way. Kubernetes takes it away when its log has been there for long enough."""
    rolling, golden = scene.memory.rollout, scene.spec.golden
    if rolling and golden and _open(scene) and scene.arrived and not scene.spec.paused and not _found(scene):
        yield Create(_job(scene, rolling, golden))


def _open(scene: Scene) -> bool:
    """Whether an answer is waited for."""
    return scene.stage.replayed and scene.memory.rollout is not None and scene.memory.rollout.golden is None


def _found(scene: Scene) -> OwnJob | None:
    return found(scene.seen.jobs, _name(scene))


def _name(scene: Scene) -> str:
    """Of this rollout's Job: another rollout, and other requests, have another."""
    rolling, golden = scene.memory.rollout, scene.spec.golden
    assert rolling
    assert golden
    asked = digest_of([rolling.revision, rolling.start_time.isoformat(), golden.told()])
    return f"{scene.seen.name}-golden-{asked}"


def _job(scene: Scene, rolling: Rollout, golden: Golden) -> Body:
    task = ReplayTask(
        requests=Artifact(name="golden", uri=golden.uri, digest=golden.digest),
        stable=address(scene.seen, scene.seen.name) + golden.path,
        incoming=address(scene.seen, preview_name(scene.seen.name)) + golden.path,
    )
    claims = [claim] if (claim := claim_of(golden.uri)) else []
    container = agent_container(
        _CONTAINER,
        "replay",
        task,
        scene.config,
        storage=scene.spec.storage.secret_name if scene.spec.storage else None,
        mounts=claim_mounts(claims, read_only=True),
    )
    # Not the labels of a server's pods: the Service would select it.
    labels = {LABEL_OWNED: "true", LABEL_GOLDEN: scene.seen.name}
    limits = {
        "backoffLimit": _BACKOFF_LIMIT,
        "activeDeadlineSeconds": scene.spec.progress_deadline_seconds,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
    }
    metadata = beside(scene.seen, JOBS, _name(scene), {})["metadata"]
    return agent_job(metadata, labels, container, claims, limits)


def replayed(scene: Scene) -> Turn | None:
    """The golden requests have been answered, or could not be sent."""
    rolling, golden = scene.memory.rollout, scene.spec.golden
    if rolling is None or golden is None or not _open(scene) or (replay := _found(scene)) is None:
        return None
    answer = _answer(replay)
    if isinstance(answer, Replayed):
        return _judged(scene, rolling, golden, answer)
    why = ""
    if failed := job_condition(replay.job, "Failed"):
        why = unanswered(scene) or failed.get("message", "")
    why = why or lost(replay, scene.now)
    if not why:
        return None
    return rolled_back(scene, rolling, "GoldenError", f"spec.golden: the requests could not be replayed: {why}")


def unanswered(scene: Scene) -> str:
    """Why there is no answer yet, as far as something keeps it from coming."""
    replay = _found(scene) if _open(scene) else None
    answer = _answer(replay) if replay else None
    if isinstance(answer, Failure):
        return answer.message
    failure = failure_of(replay.pods, None) if replay else None
    return failure.message if failure else ""


def lost_at(scene: Scene) -> datetime | None:
    """When the answer of a Job that ended well is not waited for any more; None while it runs, or when it is there."""
    if not _open(scene) or (replay := _found(scene)) is None or isinstance(_answer(replay), Replayed):
        return None
    return given_up_at(replay)


def _judged(scene: Scene, rolling: Rollout, golden: Golden, answer: Replayed) -> Turn:
    most, mean = answer.max_difference, answer.mean_difference
    if answer.failed:
        words = f"{answer.failed} golden requests that the stable revision answers fail: {answer.failure}"
        return rolled_back(scene, rolling, "GoldenFailed", words)
    if most is None or mean is None:
        words = f"spec.golden: the stable revision answered none of the {answer.skipped} requests"
        return rolled_back(scene, rolling, "GoldenError", words)
    for limit, apart, where in (
        (golden.max_difference, most, f"at line {answer.worst}"),
        (golden.mean_difference, mean, "in the mean"),
    ):
        if limit is not None and apart > limit:
            words = f"of {answer.requests} golden requests the answers are {apart:.6g} apart {where}, at most {limit:g}"
            return rolled_back(scene, rolling, "GoldenFailed", f"{words} is allowed")
    words = f"{answer.requests} golden requests: at most {most:.6g} apart (line {answer.worst}), {mean:.6g} in the mean"
    record = GoldenStatus(
        requests=answer.requests,
        skipped=answer.skipped,
        max_difference=most,
        mean_difference=mean,
        worst=answer.worst or 0,
    )
    return rolling_on(scene, rolling, about(scene, rolling, "GoldenPassed", words), golden=record)


def _answer(replay: OwnJob) -> Replayed | Failure | None:
    """What was found, else why the last try failed."""
    said = [parse_replayed(ended.get("message")) for ended in ends(replay, _CONTAINER)]
    answers = [one for one in said if isinstance(one, Replayed)]
    if answers:
        return answers[-1]
    return next((one for one in reversed(said) if one), None)
