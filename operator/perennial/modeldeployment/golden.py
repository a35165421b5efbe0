"""Golden requests: both revisions are sent them, and the new one must answer as the stable one does."""

from perennial.api.golden import Golden, GoldenStatus
from perennial.api.meta import LABEL_GOLDEN
from perennial.api.modeldeployment import Rollout
from perennial.api.task import Artifact, Replayed, ReplayTask, parse_replayed
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.trial import Trial
from perennial.modeldeployment.turn import Turn, about, rolled_back, rolling_on


class GoldenRequests(Trial[Golden, Replayed]):
    """The trial by golden requests."""

    field, mark, label, step = "golden", "golden", LABEL_GOLDEN, "replay"
    parse = staticmethod(parse_replayed)

    def asked(self, scene: Scene) -> Golden | None:
        """What asks for it."""
        return scene.spec.golden

    def data(self, asked: Golden) -> Artifact:
        """What is sent to both."""
        return Artifact(name="golden", uri=asked.uri, digest=asked.digest)

    def task(self, asked: Golden, stable: str, incoming: str) -> ReplayTask:
        """What the Job does with the two, by their URLs."""
        return ReplayTask(requests=self.data(asked), stable=stable + asked.path, incoming=incoming + asked.path)

    def judged(self, scene: Scene, rolling: Rollout, asked: Golden, answer: Replayed) -> Turn:
        """What follows from an answer."""
        most, mean = answer.max_difference, answer.mean_difference
        if answer.failed:
            words = f"{answer.failed} golden requests that the stable revision answers fail: {answer.failure}"
            return rolled_back(scene, rolling, "GoldenFailed", words)
        if most is None or mean is None:
            words = f"spec.golden: the stable revision answered none of the {answer.skipped} requests"
            return rolled_back(scene, rolling, "GoldenError", words)
        for limit, apart, where in (
            (asked.max_difference, most, f"at line {answer.worst}"),
            (asked.mean_difference, mean, "in the mean"),
        ):
            if limit is not None and apart > limit:
                words = f"of {answer.requests} golden requests the answers are {apart:.6g} apart {where}"
                return rolled_back(scene, rolling, "GoldenFailed", f"{words}, at most {limit:g} is allowed")
        words = (
            f"{answer.requests} golden requests: at most {most:.6g} apart (line {answer.worst}), {mean:.6g} in the mean"
        )
        record = GoldenStatus(
            requests=answer.requests,
            skipped=answer.skipped,
            max_difference=most,
            mean_difference=mean,
            worst=answer.worst or 0,
        )
        return rolling_on(scene, rolling, about(scene, rolling, "GoldenPassed", words), golden=record)

    def unanswerable(self, scene: Scene, rolling: Rollout, asked: Golden, why: str) -> Turn:
        """What follows when none comes."""
        return rolled_back(scene, rolling, "GoldenError", f"spec.golden: the requests could not be replayed: {why}")
