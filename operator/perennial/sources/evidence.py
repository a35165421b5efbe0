"""What a metric's source may look at, and what it finds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import Body
from perennial.metricseries.series import Summary

__all__ = ["Evidence", "Summary"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which metric is asked for, of which revision, which serves since when, over which window until now, and what is
    known of the deployment: `series` is its MetricSeries.
    """

    metric: str
    revision: str
    since: datetime
    window: timedelta
    now: datetime
    series: Body | None

    @property
    def start(self) -> datetime:
        """The beginning of the window; never before the revision served."""
        return max(self.now - self.window, self.since)
