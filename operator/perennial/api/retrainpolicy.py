"""RetrainPolicy: when to train a model again."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from perennial.api.base import (
    DNS_LABEL,
    MAP_BY_NAME,
    MAP_BY_TYPE,
    ApiModel,
    Condition,
    Count,
    Duration,
    MetricName,
    Number,
    Time,
    WrittenTime,
)
from perennial.api.oneof import OneOf
from perennial.api.rules import rule, validations
from perennial.sources import Asked, MetricSource, source_field

_DAYS_30 = "duration('720h')"
_YEAR = "duration('8760h')"

OBJECT_RULES = (
    rule(
        "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must have at most 40 characters, lower-case letters, digits and '-': "
        "the names of its TrainingJobs begin with it",
    ),
)

# Where `Cause.trigger` and `TriggerStatus.name` tell of a request by hand.
REQUEST = "request"
# So many runs are remembered, and so many may a budget count.
MAX_RUNS = 20
MAX_SKIPPED = 20

# A message of nothing would be an empty line on `kubectl describe`.
_NOTHING = "".__eq__

TriggerName = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)]


class DeploymentReference(ApiModel):
    """A ModelDeployment of the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the ModelDeployment.")


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
_FINE = (
    "!has(self.breaches) || duration(self.window).getSeconds() * self.breaches.of <= 3600"
    " || duration(self.window) >= duration('15m') && duration(self.window).getSeconds() * self.breaches.of <= 43200"
    " || duration(self.window) >= duration('24h') && duration(self.window).getSeconds() * self.breaches.of <= 2592000"
)


_ASKED = "(has(self.source) && (has(self.source.prometheus) || has(self.source.webhook)))"


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
                "all of its windows must lie within an hour, or be of 15m or more within 12h, or of 24h or more within "
                "720h: older samples are not kept apart",
                ".breaches",
            ),
        )
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if sum(limit is not None for limit in (self.below, self.above, self.outside)) != 1:
            raise ValueError("give exactly one of below, above and outside")
        if isinstance(self.source.chosen, Asked) and (self.breaches or self.aggregate is not Aggregate.AVERAGE):
            raise ValueError(
                f"{self.source.option} gives one value, of now: it goes with neither aggregate nor breaches"
            )
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
    window: Duration = Field("1h", description="How far back samples count; never before the model's promotion.")
    aggregate: Aggregate = Field(Aggregate.AVERAGE, description="How the samples of the window become one value.")
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        1, description="With fewer samples in the window nothing is decided."
    )
    for_: Annotated[Duration, Field(alias="for")] = Field(
        "0s", alias="for", description="How long the limit must be crossed without a break."
    )
    breaches: Breaches | None = Field(
        None, description="Instead of `for`: in how many of the last windows the limit must have been crossed."
    )


class ScheduleTrigger(ApiModel):
    """Retrain at times."""

    cron: Annotated[str, Field(pattern=r"^[^ \t\n\r\f\v]+( +[^ \t\n\r\f\v]+){4}$", min_length=9, max_length=128)] = (
        Field(description="Five fields: minute, hour, day of month, month, day of week.")
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "Etc/UTC", description="IANA name of the time zone that `cron` is read in."
    )
    starting_deadline_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = Field(
        None, description="A tick that could not be started within this time is missed, and recorded as such."
    )


class Trigger(OneOf):
    """One cause to retrain: a metric or a schedule."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(f"self.name != '{REQUEST}'", "this name tells of runs that were asked for by hand", ".name"),
        )
    )

    name: TriggerName = Field(description="Name of the trigger, unique in the policy.")
    metric: MetricTrigger | None = Field(None, description="Retrain when a metric crosses a limit.")
    schedule: ScheduleTrigger | None = Field(None, description="Retrain at times.")


class ConcurrencyPolicy(StrEnum):
    """What happens when a cause comes while a run of the policy is under way."""

    FORBID = "Forbid"
    REPLACE = "Replace"
    ALLOW = "Allow"


class Budget(ApiModel):
    """How many runs a policy may start."""

    runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] = Field(description="Runs that may start in the period.")
    per: Annotated[
        Duration, Field(json_schema_extra=validations(rule(f"duration(self) <= {_YEAR}", "must be at most 8760h")))
    ] = Field("24h", description="The period, sliding.")


class TrainingJobTemplate(ApiModel):
    """The TrainingJob that a run makes."""

    spec: Annotated[
        dict[str, Any],
        Field(json_schema_extra={"$perennial": "TrainingJobSpec"}),
    ] = Field(
        description="Spec of the TrainingJob. In any string of it $(run.number), $(run.trigger), $(run.cause) and "
        "$(run.value) stand for what they say of the run; $$(run.number) stays as $(run.number)."
    )


class RetrainPolicySpec(ApiModel):
    """When to train a model again, and how."""

    deployment: DeploymentReference = Field(description="The ModelDeployment that this policy keeps fresh.")
    training_job_template: TrainingJobTemplate = Field(
        description="The TrainingJob that a run makes; it must train the model that the deployment serves."
    )
    triggers: Annotated[list[Trigger], Field(max_length=16, json_schema_extra=MAP_BY_NAME)] = Field(
        default=[], description="Each is a cause of its own; without any, runs are started by hand."
    )
    cooldown: Annotated[
        Duration, Field(json_schema_extra=validations(rule(f"duration(self) <= {_YEAR}", "must be at most 8760h")))
    ] = Field("0s", description="Rest after the end of a run; a request by hand ignores it.")
    concurrency_policy: ConcurrencyPolicy = Field(
        ConcurrencyPolicy.FORBID,
        description="Forbid: a cause during a run starts nothing. Replace: it ends that run. Allow: both run.",
    )
    budget: Budget | None = Field(None, description="How many runs may start in a period.")
    unpromoted_limit: Annotated[int, Field(ge=1, le=1000)] = Field(
        3,
        description="So many runs in a row without a promotion, and the policy is Stalled until a person asks for one.",
    )
    suspend: bool = Field(False, description="No run is started; requests by hand wait.")
    dry_run: bool = Field(False, description="Runs are recorded, but no TrainingJob is made.")


class Cause(ApiModel):
    """What set off a run."""

    trigger: str = Field(description="Name of the trigger; `request` when asked for by hand.")
    type: Literal["Metric", "Schedule", "Request"] = Field(description="Metric, Schedule or Request.")
    message: str = Field("", description="The cause in words.")
    metric: str | None = Field(None, description="Name of the metric.")
    value: Number | None = Field(None, description="Value that was observed.")
    limit: Number | None = Field(None, description="Limit that it crossed.")
    samples: int | None = Field(None, description="How many samples it was made of.")
    window: str | None = Field(None, description="Window of the samples.")
    revision: str | None = Field(None, description="Revision of the ModelDeployment that was measured.")
    scheduled_time: WrittenTime | None = Field(None, description="The tick of the schedule.")
    request: str | None = Field(None, description="Id of the request.")


class RunPhase(StrEnum):
    """Where a run stands."""

    PENDING = "Pending"
    TRAINING = "Training"
    DECIDING = "Deciding"
    ROLLING_OUT = "RollingOut"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"
    REPLACED = "Replaced"
    DRY_RUN = "DryRun"


class Run(ApiModel):
    """One run: cause, TrainingJob, gate, approval, rollout, outcome."""

    number: Count = Field(description="Number of the run, never used twice.")
    cause: Cause = Field(description="What set it off.")
    phase: RunPhase = Field(
        description="Pending, Training, Deciding (gate and approval), RollingOut; then Promoted, Rejected, RolledBack, "
        "Superseded, Failed, Replaced or DryRun."
    )
    message: str = Field("", description="What it waits for, or how it ended.", exclude_if=_NOTHING)
    training_job: str | None = Field(None, description="The TrainingJob.")
    model_version: str | None = Field(None, description="The ModelVersion that came of it.")
    start_time: Time = Field(description="When it was decided.")
    completion_time: Time | None = Field(None, description="When it ended.")


class TriggerState(StrEnum):
    """What a trigger is at."""

    WAITING = "Waiting"
    OK = "Ok"
    CROSSED = "Crossed"
    HELD = "Held"
    FIRING = "Firing"
    SCHEDULED = "Scheduled"
    INVALID = "Invalid"
    UNAVAILABLE = "Unavailable"


class TriggerStatus(ApiModel):
    """What a trigger last saw."""

    name: str = Field(description="Name of the trigger; `request` for a request by hand that waits.")
    state: TriggerState = Field(
        description="Waiting: nothing can be decided. Ok: within the limit. Crossed: not yet for long enough. Held: "
        "the cause stands, but no run may start. Firing: a run deals with it. Scheduled: waits for its time. Invalid."
    )
    rule: str = Field("", description="The rule that the times below belong to; with an edit they begin anew.")
    message: str = Field("", description="What it saw, and why it did or did not start a run.", exclude_if=_NOTHING)
    value: Number | None = Field(None, description="Value that was last observed.")
    samples: int | None = Field(None, description="Samples in the window.")
    crossed_since: Time | None = Field(None, description="Since when the limit is crossed.")
    last_schedule_time: Time | None = Field(None, description="The last tick that was started or missed.")
    next_schedule_time: Time | None = Field(None, description="The next tick, or the one that is held.")


class Skip(ApiModel):
    """A cause that started nothing."""

    time: Time = Field(description="The tick, or since when the limit is crossed.")
    trigger: str = Field(description="Name of the trigger.")
    reason: str = Field(description="One CamelCase word: Cooldown, BudgetSpent, RunUnderWay, Suspended, Missed, ...")
    message: str = Field("", description="Why, in words.")


class RetrainPolicyStatus(ApiModel):
    """What a policy saw and did."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    last_run: Count = Field(0, description="The highest number of a run.")
    active: Count = Field(0, description="Runs under way.")
    unpromoted: Count = Field(0, description="Runs in a row that ended without a promotion.")
    last_request: str | None = Field(None, description="The last request by hand that was dealt with.")
    next_schedule_time: Time | None = Field(None, description="The next tick of all schedules.")
    triggers: Annotated[list[TriggerStatus], Field(max_length=17, json_schema_extra=MAP_BY_NAME)] = Field(
        default=[], description="What each trigger last saw."
    )
    runs: Annotated[list[Run], Field(max_length=MAX_RUNS)] = Field(
        default=[], description="The last 20 runs, newest first."
    )
    skipped: Annotated[list[Skip], Field(max_length=MAX_SKIPPED)] = Field(
        default=[], description="The last 20 causes that started nothing, newest first, and why."
    )
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=MAP_BY_TYPE)] = Field(
        default=[], description="Ready, Reconciling, Stalled."
    )
