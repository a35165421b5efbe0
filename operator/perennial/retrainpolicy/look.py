"""What one look at a trigger goes by, and what it finds: its row in the status, and the cause for a run, if any."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from perennial.api.modeldeployment import ModelDeploymentStatus, Promotion
from perennial.api.requestlog import RequestLog
from perennial.api.retrainpolicy import Cause, Run, Skip, TriggerStatus
from perennial.config import Config
from perennial.errands import OwnJob
from perennial.plan import Body, Create
from perennial.questions import Answer, Question
from perennial.view import Refusal


def stable(serving: ModelDeploymentStatus) -> Promotion | None:
    """The promotion of the revision that is served."""
    return next((one for one in serving.promotions if one.revision == serving.stable_revision), None)


@dataclass(frozen=True, slots=True)
class Sight:
    """`before` is the trigger's row of the last look, `runs` the policy's, newest first, `serving` and `series` the
    deployment's, of this name, `pods` those that serve, `request_log` what it writes, `versions` all of the namespace.
    What time alone brings counts from `begin`, when the policy was made, at its first look; baselines of what a
    revision shows from `rebaselined`, where a person asked for that. `answers` are those to the questions of the look
    before.
    """

    before: TriggerStatus | None
    runs: Sequence[Run]
    namespace: str
    deployment: str
    serving: ModelDeploymentStatus
    series: Body | None
    begin: datetime
    now: datetime
    versions: Sequence[Body] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    # For triggers that are looked at by Jobs.
    policy: str = ""
    uid: str = ""
    suspended: bool = False
    config: Config = field(default_factory=Config)
    jobs: Sequence[OwnJob] = ()
    refusal: Refusal | None = None
    request_log: RequestLog | None = None
    pods: Sequence[Body] = ()
    rebaselined: datetime | None = None

    @property
    def promotion(self) -> Promotion | None:
        """The promotion of the revision that is served."""
        return stable(self.serving)


@dataclass(frozen=True, slots=True)
class Look:
    """`row` stands while nothing is started; `started` once a run was.

    `since` tells one cause of a trigger from its next: the tick, or when the limit was crossed. `missed` are causes
    that are given up. `wakes` are the times at which the next look may find something else, `questions` what it goes by
    that others must be asked for, `create` a Job that is to look.
    """

    row: TriggerStatus
    cause: Cause | None = None
    since: datetime | None = None
    started: TriggerStatus | None = None
    missed: tuple[Skip, ...] = ()
    wakes: tuple[datetime, ...] = ()
    questions: tuple[Question, ...] = ()
    create: Create | None = None


def turn(name: str, now: datetime, every: timedelta) -> datetime:
    """When the question of now is asked: each in a turn of its own, so that not all are asked at once."""
    seconds, second = int(every.total_seconds()), int(now.timestamp())
    return datetime.fromtimestamp(second - (second - zlib.crc32(name.encode())) % seconds, UTC)
