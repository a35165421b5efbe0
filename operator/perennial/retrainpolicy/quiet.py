"""Quiet hours: times that begin by a cron expression and last for a while, and may lie over each other."""

from collections.abc import Sequence
from datetime import datetime

from perennial.api.base import parse_duration
from perennial.api.retrainpolicy import QuietHours
from perennial.retrainpolicy.schedule import parse

# Times that always follow on each other have no end: it is looked for again then.
_MOST = 100


def quiet_until(every: Sequence[QuietHours], now: datetime) -> tuple[str, datetime] | None:
    """Until when it is quiet, and by which of the times; None when it is not. ValueError when one cannot be read."""
    found: tuple[str, datetime] | None = None
    for _ in range(_MOST):
        moment = found[1] if found else now
        ends = [(end, hours.name) for hours in every if (end := _end(hours, moment))]
        if not ends:
            break
        end, name = max(ends)
        found = (name, end)
    return found


def _end(hours: QuietHours, moment: datetime) -> datetime | None:
    """When the time ends that this moment lies in."""
    ticks, length = parse(hours), parse_duration(hours.duration)
    # A time that began exactly so long ago has just ended.
    first = ticks.next(moment - length)
    if first is None or first > moment:
        return None
    return ticks.newest(first, moment) + length
