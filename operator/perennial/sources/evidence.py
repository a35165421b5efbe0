"""What a metric's source may look at, and what it finds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import Body
from perennial.metricseries.series import Summary

__all__ = ["Evidence", "Summary"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which metric is asked for, of which revision, which serves since when, over which window, and what is known of
    the deployment: `series` is its MetricSeries.

    The last window ends `delay` ago: what is younger does not count yet. This one ends `ago` windows before that.
    """

    metric: str
    revision: str
    since: datetime
    window: timedelta
    now: datetime
    series: Body | None
    delay: timedelta = timedelta()
    ago: int = 0

    @property
    def last(self) -> datetime:
        """The end of the last window."""
        return self.now - self.delay

    @property
    def start(self) -> datetime:
        """The beginning of the window; never before the revision served."""
        return max(self.last - self.window * (self.ago + 1), self.since)

    @property
    def end(self) -> datetime:
        """Where the next window begins, or now."""
        return max(self.last - self.window * self.ago, self.since)
