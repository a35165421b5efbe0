"""Where metrics come from: each source is a module, and a field of `MetricSource`."""

from datetime import datetime
from typing import Annotated, Protocol

from pydantic import Field

from perennial.api.oneof import OneOf, not_in_the_schema
from perennial.sources.evidence import Evidence, Summary
from perennial.sources.reported import Reported

__all__ = ["REPORTED", "AnySource", "Evidence", "MetricSource", "Reported", "Source", "Summary"]


class MetricSource(OneOf):
    """Where a metric comes from: exactly one."""

    reported: Reported | None = Field(None, description="Samples that were posted to the operator's ingest endpoint.")


AnySource = Annotated[
    MetricSource,
    Field(json_schema_extra=not_in_the_schema, description="Where it comes from: exactly one; default: reported."),
]
REPORTED = MetricSource(reported=Reported())


class Source(Protocol):
    """What every source does, without I/O."""

    def summary(self, evidence: Evidence) -> Summary | None:
        """What is known of the metric in the window, of the revision that serves; None when nothing is."""
        ...

    def wakes(self, evidence: Evidence) -> datetime:
        """When time alone may change a summary that is not None."""
        ...
