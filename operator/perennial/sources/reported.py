"""The `reported` source: samples that were posted to the operator's ingest endpoint, as the MetricSeries keeps them."""

from datetime import datetime, timedelta

from perennial.api.base import ApiModel
from perennial.metricseries.series import summarise
from perennial.sources.evidence import Evidence, Summary

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_QUARTER = timedelta(minutes=15)
# Samples of the last hour are in buckets of a minute.
_MINUTES_KEPT = timedelta(hours=1)


class Reported(ApiModel):
    """Samples that were posted to the operator's ingest endpoint."""

    def summary(self, evidence: Evidence) -> Summary | None:
        """What the served revision reported in the window.

        A bucket counts when its start lies in the window, so the beginning is moved back to that of its bucket: else
        the first samples after a promotion would be left out. Buckets of a day are too coarse for that. Of windows
        beside each other each bucket is in one: where one ends, the other begins.
        """
        if evidence.series is None:
            return None
        now = evidence.now
        end = edge(evidence.end, now) - _SECOND if evidence.ago or evidence.delay else now
        return summarise(evidence.series, evidence.metric, evidence.revision, edge(evidence.start, now), end)

    def wakes(self, evidence: Evidence) -> datetime:
        """A bucket leaves the window when its minute does."""
        return _floor(evidence.now, _MINUTE) + _MINUTE


def edge(moment: datetime, now: datetime) -> datetime:
    """The start of the bucket that a moment is in."""
    return _floor(moment, _MINUTE if now - moment <= _MINUTES_KEPT else _QUARTER)


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % step.total_seconds())
