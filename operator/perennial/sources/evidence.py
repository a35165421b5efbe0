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

    The window ends now, or `ago` windows ago: one of `windows` that are looked at beside each other.
    """

    metric: str
    revision: str
    since: datetime
    window: timedelta
    now: datetime
    series: Body | None
    windows: int = 1
    ago: int = 0

    @property
    def start(self) -> datetime:
        """The beginning of the window; never before the revision served."""
        return max(self.now - self.window * (self.ago + 1), self.since)

    @property
    def end(self) -> datetime:
        """Where the next window begins, or now."""
        return max(self.now - self.window * self.ago, self.since)

    @property
    def earliest(self) -> datetime:
        """The beginning of the first of the windows."""
        return max(self.now - self.window * self.windows, self.since)
