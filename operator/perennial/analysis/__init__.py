"""Analysis of a rollout: what the new revision must show while it gets requests, and what became of that."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from perennial.api.base import MAP_BY_NAME, ApiModel, Count, Duration, MetricName, Number, Time, parse_duration
from perennial.api.rules import rule, validations
from perennial.sources import AnalysisSource, source_field


class Verdict(StrEnum):
    """What a measurement says. That there is no data is never a pass."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class OnInconclusive(StrEnum):
    """What happens when there is no answer for too long."""

    HOLD = "Hold"
    ROLL_BACK = "RollBack"


def _sure(confidence: float) -> float:
    if not 0.5 <= confidence <= 0.9999:
        raise ValueError("must be a ratio from 0.5 to 0.9999, such as 0.95")
    return confidence


def _not_at_once(interval: str) -> str:
    if parse_duration(interval) < timedelta(seconds=1):
        raise ValueError("must be from 1s to 24h")
    return interval


# Not as bounds: the API server tells such without their digits.
Confidence = Annotated[
    float,
    Field(
        json_schema_extra=validations(
            rule("self >= 0.5 && self <= 0.9999", "must be a ratio from 0.5 to 0.9999, such as 0.95")
        )
    ),
    AfterValidator(_sure),
]


_NO_LIMIT = "give at least one limit: min, max or noWorseThanStableBy"
_JOB_COMPARES = "a job compares with the stable revision itself, by PERENNIAL_STABLE_URL"


class AnalysisMetric(ApiModel):
    """A limit that the new revision must keep, of the mean of what was measured since it gets requests."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.min) || has(self.max) || has(self.noWorseThanStableBy) || (has(self.source) && "
                "has(self.source.job))",
                _NO_LIMIT,
            ),
            rule(
                "!has(self.noWorseThanStableBy) || !has(self.source) || !has(self.source.job)",
                _JOB_COMPARES,
                ".noWorseThanStableBy",
            ),
            rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max", ".min"),
        )
    )

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.source.job is not None and self.no_worse_than_stable_by is not None:
            raise ValueError(_JOB_COMPARES)
        if self.source.job is None and not self.limited and self.no_worse_than_stable_by is None:
            raise ValueError(_NO_LIMIT)
        return self

    @property
    def limited(self) -> bool:
        """Whether a limit is given that is a number. Without one a Job says itself whether the revision is good."""
        return self.min is not None or self.max is not None

    name: MetricName = Field(description="Name of the metric.")
    source: AnalysisSource = source_field()
    min: Number | None = Field(None, description="At least this.")
    max: Number | None = Field(None, description="At most this.")
    no_worse_than_stable_by: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="At most this much worse than the stable revision in the same time."
    )
    lower_is_better: bool = Field(False, description="For errors and latencies: worse is higher.")
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        30, description="With fewer samples of either revision there is no answer."
    )


class Analysis(ApiModel):
    """What the new revision must show while it gets requests."""

    metrics: Annotated[list[AnalysisMetric], Field(min_length=1, max_length=16, json_schema_extra=MAP_BY_NAME)] = Field(
        description="All must hold."
    )
    interval: Annotated[
        Duration,
        Field(
            json_schema_extra=validations(
                rule(
                    "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
                    "must be from 1s to 24h",
                )
            )
        ),
        AfterValidator(_not_at_once),
    ] = Field("1m", description="How often it is looked at.")
    confidence: Confidence = Field(
        0.95,
        description="How sure it must be that a limit is kept, or that it is not; in between it is inconclusive.",
    )
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="So many looks may find a limit not kept; with one more it is rolled back."
    )
    inconclusive_limit: Annotated[int, Field(ge=0, le=10_000)] = Field(
        10, description="So many looks in a row may be without an answer; then `onInconclusive`."
    )
    consecutive_error_limit: Annotated[int, Field(ge=0, le=10_000)] = Field(
        4, description="So many looks in a row may fail, since a source cannot be asked; then `onInconclusive`."
    )
    on_inconclusive: OnInconclusive = Field(
        OnInconclusive.HOLD,
        description="Hold: it stays where it is, until there is an answer or a person goes on. RollBack: back at once.",
    )

    @property
    def checked(self) -> bool:
        """Whether Jobs look at the new revision."""
        return any(metric.source.job is not None for metric in self.metrics)


class Samples(ApiModel):
    """What was measured of one revision since the new one gets requests."""

    count: Count = Field(description="How many samples.")
    mean: Number = Field(description="Their mean.")
    minimum: Number = Field(description="The least of them.")
    maximum: Number = Field(description="The greatest of them.")


class Measurement(ApiModel):
    """One metric, as it was last looked at."""

    name: str = Field(description="Name of the metric.")
    verdict: Verdict = Field(description="Pass, Fail, Inconclusive or Error.")
    message: str = Field("", description="Why.")
    new: Samples | None = Field(None, description="What is known of the new revision.")
    stable: Samples | None = Field(None, description="What is known of the stable revision, where it is compared.")


class AnalysisStatus(ApiModel):
    """What was found since the new revision gets requests."""

    start_time: Time = Field(description="Since when it gets requests; nothing older counts.")
    last_time: Time | None = Field(None, description="When it was last looked at.")
    verdict: Verdict | None = Field(None, description="What that look said: the gravest of its metrics.")
    failures: Count = Field(0, description="Looks that found a limit not kept.")
    inconclusive: Count = Field(0, description="Looks without an answer, in a row until now.")
    errors: Count = Field(0, description="Looks that failed, in a row until now.")
    metrics: Annotated[list[Measurement], Field(max_length=16)] = Field(default=[], description="Each metric.")
