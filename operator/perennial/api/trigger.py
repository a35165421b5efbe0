"""What sets off a run of a RetrainPolicy: a metric that crosses a limit, drift, new data, or a time."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from perennial.api.base import DNS_LABEL, MOST, ApiModel, DataUri, Duration, MetricName, Number, Storage, parse_duration
from perennial.api.conceptdrift import ConceptDriftTrigger
from perennial.api.drift import DriftTrigger
from perennial.api.oneof import OneOf
from perennial.api.rules import rule, validations
from perennial.sources import Every, MetricSource, source_field

# Where a cause, and the row of a trigger, tell of a request by hand.
REQUEST = "request"
TriggerName = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)]
_DAYS_30 = "duration('720h')"


class Aggregate(StrEnum):
    """How the samples of a window become one value."""

    AVERAGE = "Average"
    MIN = "Min"
    MAX = "Max"
    SUM = "Sum"
    COUNT = "Count"
    LAST = "Last"


class Outside(ApiModel):
    """Limits on both sides."""

    model_config = ConfigDict(
        json_schema_extra=validations(rule("self.below < self.above", "below must be less than above"))
    )

    below: Number = Field(description="Retrain when the value is below this.")
    above: Number = Field(description="Retrain when the value is above this.")


class Breaches(ApiModel):
    """How many of the last windows must have crossed the limit: M out of N, for values that come and go."""

    model_config = ConfigDict(
        json_schema_extra=validations(rule("self.atLeast <= self.of", "must be at most `of`", ".atLeast"))
    )

    at_least: Annotated[int, Field(ge=1, le=20)] = Field(description="So many windows must have crossed the limit.")
    of: Annotated[int, Field(ge=1, le=20)] = Field(
        description="Of so many windows, one after the other, of which the last ends now."
    )


# As fine as the buckets of samples are: by the minute for an hour, by the quarter of an hour for twelve.
_BACK = "duration(self.window).getSeconds() * self.breaches.of + duration(self.labelDelay).getSeconds()"
_FINE = (
    f"!has(self.breaches) || {_BACK} <= 3600"
    f" || duration(self.window) >= duration('15m') && {_BACK} <= 43200"
    f" || duration(self.window) >= duration('24h') && {_BACK} <= 2592000"
)


_ASKED = "(has(self.source) && !has(self.source.reported))"
_PODS = "(has(self.source) && has(self.source.pods))"
_COUNTED = "pods are read every 30s, and what they counted is remembered for a day at most: must be 1m to 24h"
_NO_DELAY = "pods count what has come already: give none with source.pods"


class Baseline(StrEnum):
    """What a value is compared with."""

    RECORDED = "Recorded"
    PROMOTION = "Promotion"


class By(StrEnum):
    """How it is compared."""

    DIFFERENCE = "Difference"
    RATIO = "Ratio"


class RelativeTo(ApiModel):
    """What the limits are relative to, instead of to nothing."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.metric) || self.baseline == 'Recorded'",
                "goes with baseline Recorded: the metrics on a ModelVersion have names",
                ".metric",
            )
        )
    )

    baseline: Baseline = Field(
        description="Recorded: what the served ModelVersion has on record. Promotion: what the served revision itself "
        "showed in its first whole window."
    )
    metric: MetricName | None = Field(
        None, description="Recorded: the name that the metric has on the ModelVersion. Default: its name here."
    )
    by: By = Field(
        By.DIFFERENCE,
        description="Difference: limits are added to the baseline (below: -0.05). Ratio: it is multiplied by them "
        "(above: 1.2).",
    )


class MetricTrigger(ApiModel):
    """Retrain when a metric of the served model crosses a limit."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "[has(self.below), has(self.above), has(self.outside)].exists_one(one, one)",
                "give exactly one of below, above and outside",
            ),
            rule(
                "!has(self.recoverAbove) || has(self.below) && self.recoverAbove >= self.below",
                "goes with below, and must be at least that",
                ".recoverAbove",
            ),
            rule(
                "!has(self.recoverBelow) || has(self.above) && self.recoverBelow <= self.above",
                "goes with above, and must be at most that",
                ".recoverBelow",
            ),
            rule(
                f"duration(self.window) > duration('0s') && duration(self.window) <= {_DAYS_30}",
                "window must be more than 0s, and at most 720h: samples are not kept longer",
                ".window",
            ),
            rule(
                f"!{_PODS} || duration(self.window) >= duration('1m') && duration(self.window) <= duration('24h')",
                _COUNTED,
                ".window",
            ),
            rule(f"!{_PODS} || duration(self.labelDelay) == duration('0s')", _NO_DELAY, ".labelDelay"),
            rule(
                f"duration(self.labelDelay) + duration(self.window) <= {_DAYS_30}",
                "window and labelDelay must be at most 720h together: samples are not kept longer",
                ".labelDelay",
            ),
            rule(f"duration(self.__for__) <= {_DAYS_30}", "must be at most 720h", ".for"),
            rule(
                "!has(self.breaches) || duration(self.__for__) == duration('0s')",
                "give one of for and breaches",
                ".for",
            ),
            rule(
                f"!{_ASKED} || self.aggregate == 'Average'",
                "the source gives one value: aggregate in its expression or program",
                ".aggregate",
            ),
            rule(
                f"!{_ASKED} || !has(self.breaches)",
                "the source gives one value, of now: give `for`, or look back in its expression or program",
                ".breaches",
            ),
            rule(
                _FINE,
                "all of its windows, and labelDelay, must lie within an hour, or be of 15m or more within 12h, or of "
                "24h or more within 720h: older samples are not kept apart",
                ".breaches",
            ),
        )
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if sum(limit is not None for limit in (self.below, self.above, self.outside)) != 1:
            raise ValueError("give exactly one of below, above and outside")
        if self.source.reported is None and (self.breaches or self.aggregate is not Aggregate.AVERAGE):
            raise ValueError(
                f"{self.source.option} gives one value, of now: it goes with neither aggregate nor breaches"
            )
        if self.source.pods and not timedelta(minutes=1) <= parse_duration(self.window) <= timedelta(days=1):
            raise ValueError(f"window: {_COUNTED}")
        if self.source.pods and parse_duration(self.label_delay):
            raise ValueError(f"labelDelay: {_NO_DELAY}")
        return self

    name: MetricName = Field(description="Name of the metric.")
    source: MetricSource = source_field()
    below: Number | None = Field(None, description="Retrain when the value is below this.")
    above: Number | None = Field(None, description="Retrain when the value is above this.")
    outside: Outside | None = Field(None, description="Retrain when the value is outside of these.")
    recover_above: Number | None = Field(
        None, description="Once below, it stays crossed until the value is above this. Default: the limit."
    )
    recover_below: Number | None = Field(
        None, description="Once above, it stays crossed until the value is below this. Default: the limit."
    )
    relative_to: RelativeTo | None = Field(None, description="What the limits are relative to. Default: nothing.")
    window: Duration = Field("1h", description="How far back samples count; never before the model's promotion.")
    aggregate: Aggregate = Field(Aggregate.AVERAGE, description="How the samples of the window become one value.")
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        1, description="With fewer samples in the window nothing is decided."
    )
    for_: Annotated[Duration, Field(alias="for")] = Field(
        "0s", alias="for", description="How long the limit must be crossed without a break."
    )
    label_delay: Duration = Field(
        "0s",
        description="How long after a prediction its truth may come. What was reported of that last time does not "
        "count yet.",
    )
    breaches: Breaches | None = Field(
        None, description="Instead of `for`: in how many of the last windows the limit must have been crossed."
    )


class Cron(ApiModel):
    """Times that come again."""

    cron: Annotated[str, Field(pattern=r"^[^ \t\n\r\f\v]+( +[^ \t\n\r\f\v]+){4}$", min_length=9, max_length=128)] = (
        Field(description="Five fields: minute, hour, day of month, month, day of week.")
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "Etc/UTC", description="IANA name of the time zone that `cron` is read in."
    )


class ScheduleTrigger(Cron):
    """Retrain at times."""

    starting_deadline_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = Field(
        None, description="A tick that could not be started within this time is missed, and recorded as such."
    )


class DataTrigger(ApiModel):
    """Retrain when data has changed: an object was written, or one has come or gone, since the last run of this
    trigger."""

    uri: DataUri = Field(
        description="What is looked at: an object or all below a prefix (s3://, http(s)://, pvc://claim/path), or "
        "where a reference of a Git repository points (git+https://host/repository@branch), as DVC has its data."
    )
    every: Every = Field("1h", description="How often a Job looks at it.")
    storage: Storage | None = Field(None, description="Credentials; default: the Secret perennial-storage, if any.")
    min_new_objects: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        None, description="Only when there are so many objects more. Default: any change counts."
    )
    min_new_bytes: Annotated[str, Field(pattern="^[1-9][0-9]{0,5}(Ki|Mi|Gi|Ti)$", max_length=8)] | None = Field(
        None, description="Only when they are so many bytes more: 10Gi. With both, either is enough."
    )


class Trigger(OneOf):
    """One cause to retrain: a metric, drift of data or of a metric, new data or a schedule."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(f"self.name != '{REQUEST}'", "this name tells of runs that were asked for by hand", ".name"),
        )
    )

    name: TriggerName = Field(description="Name of the trigger, unique in the policy.")
    metric: MetricTrigger | None = Field(None, description="Retrain when a metric crosses a limit.")
    drift: DriftTrigger | None = Field(None, description="Retrain when what the model sees has drifted.")
    concept_drift: ConceptDriftTrigger | None = Field(
        None, description="Retrain when a reported metric is not what it was since the promotion."
    )
    data: DataTrigger | None = Field(None, description="Retrain when data has changed.")
    schedule: ScheduleTrigger | None = Field(None, description="Retrain at times.")
