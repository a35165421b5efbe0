"""MetricSeries: the record of what was reported of a ModelDeployment, folded into buckets."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import ApiModel, MetricName, WrittenTime

# Bounds of one record. The API server keeps every version of an object until it compacts: records stay small.
MAX_SERIES = 16
MAX_BYTES = 32 * 1024

Revision = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]

_DAY, _MINUTE = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "T[0-9]{2}:[0-9]{2}Z"
_NUMBERS = r"( -?[0-9.]+(e[-+][0-9]+)?){4}"
_BUCKET = f"^{_DAY}({_MINUTE})? [0-9]+{_NUMBERS} [0-9]+$"
Bucket = Annotated[str, Field(pattern=_BUCKET, max_length=160)]

_WORDS = (
    "each `start count sum minimum maximum last offset`: the last value is the one `offset` seconds after the start"
)


class Series(ApiModel):
    """One metric of one revision. A sample counts in exactly one bucket, which grows coarser with age."""

    metric: MetricName = Field(description="Name of the metric.")
    revision: Revision = Field(description="The revision of the ModelDeployment that was measured.")
    updated: WrittenTime = Field(description="When a sample last came in.")
    minutes: Annotated[list[Bucket], Field(max_length=72)] = Field(
        default=[], description=f"The last hour in buckets of a minute, oldest first; {_WORDS}."
    )
    quarters: Annotated[list[Bucket], Field(max_length=64)] = Field(
        default=[], description=f"Before that, the last 12 hours in buckets of 15 minutes; {_WORDS}."
    )
    days: Annotated[list[Bucket], Field(max_length=40)] = Field(
        default=[], description=f"Before that, the last 30 days in buckets of a day, in UTC; {_WORDS}."
    )


class MetricSeriesStatus(ApiModel):
    """What was reported."""

    updated: WrittenTime | None = Field(None, description="When a sample last came in.")
    series: Annotated[
        list[Series], Field(max_length=MAX_SERIES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=[], description="One for each metric of each revision, in the order of their first samples.")
