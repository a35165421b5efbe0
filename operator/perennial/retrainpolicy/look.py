"""What one look at a trigger finds: its row in the status, and the cause for a run, if there is one."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.retrainpolicy import Cause, Skip, TriggerStatus


@dataclass(frozen=True, slots=True)
class Look:
    """`row` stands while nothing is started; `started` once a run was.

    `since` tells one cause of a trigger from its next: the tick, or when the limit was crossed. `missed` are causes
    that are given up. `wakes` are the times at which the next look may find something else.
    """

    row: TriggerStatus
    cause: Cause | None = None
    since: datetime | None = None
    started: TriggerStatus | None = None
    missed: tuple[Skip, ...] = ()
    wakes: tuple[datetime, ...] = ()
