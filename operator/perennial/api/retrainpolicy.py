"""RetrainPolicy: when to train a model again."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from perennial.api.base import DNS_LABEL, ApiModel, Condition, Duration, MetricName, Number, Time

_MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_MAP_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}

TriggerName = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)]


class DeploymentReference(ApiModel):
    """A ModelDeployment of the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the ModelDeployment.")


class Reported(ApiModel):
    """Samples that were posted to the operator's ingest endpoint."""


class MetricSource(ApiModel):
    """Where a metric comes from: exactly one."""

    reported: Reported = Field(description="Samples that were posted to the operator's ingest endpoint.")


class Aggregate(StrEnum):
    """How the samples of a window become one value."""

    AVERAGE = "Average"
    MIN = "Min"
    MAX = "Max"
    SUM = "Sum"
    COUNT = "Count"
    LAST = "Last"


class MetricTrigger(ApiModel):
    """Retrain when a metric of the served model crosses a limit."""

    name: MetricName = Field(description="Name of the metric.")
    source: MetricSource = Field(default=MetricSource(reported=Reported()), description="Where it comes from.")
    below: Number | None = Field(None, description="Retrain when the value is below this.")
    above: Number | None = Field(None, description="Retrain when the value is above this.")
    window: Duration = Field("1h", description="How far back samples count; never before the model's promotion.")
    aggregate: Aggregate = Field(Aggregate.AVERAGE, description="How the samples of the window become one value.")
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        1, description="With fewer samples in the window nothing is decided."
    )
    for_: Annotated[Duration, Field(alias="for")] = Field(
        "0s", alias="for", description="How long the limit must be crossed without a break."
    )


class ScheduleTrigger(ApiModel):
    """Retrain at times."""

    cron: Annotated[str, Field(min_length=9, max_length=128)] = Field(
        description="Five fields: minute, hour, day of month, month, day of week."
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "Etc/UTC", description="IANA name of the time zone that `cron` is read in."
    )
    starting_deadline_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = Field(
        None, description="A tick that could not be started within this time is missed, and recorded as such."
    )


class Trigger(ApiModel):
    """One cause to retrain: a metric or a schedule."""

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

    runs: Annotated[int, Field(ge=1, le=10_000)] = Field(description="Runs that may start in the period.")
    per: Duration = Field("24h", description="The period, sliding.")


class TrainingJobTemplate(ApiModel):
    """The TrainingJob that a run makes."""

    spec: Annotated[
        dict[str, Any],
        Field(json_schema_extra={"$perennial": "TrainingJobSpec"}),
    ] = Field(description="Spec of the TrainingJob; parameters may use $(run.number), $(run.trigger), ... in strings.")


class RetrainPolicySpec(ApiModel):
    """When to train a model again, and how."""

    deployment: DeploymentReference = Field(description="The ModelDeployment that this policy keeps fresh.")
    training_job_template: TrainingJobTemplate = Field(
        description="The TrainingJob that a run makes; it must train the model that the deployment serves."
    )
    triggers: Annotated[list[Trigger], Field(max_length=16, json_schema_extra=_MAP_BY_NAME)] = Field(
        default=[], description="Each is a cause of its own; without any, runs are started by hand."
    )
    cooldown: Duration = Field("0s", description="Rest after the end of a run; a request by hand ignores it.")
    concurrency_policy: ConcurrencyPolicy = Field(
        ConcurrencyPolicy.FORBID,
        description="Forbid: a cause during a run starts nothing. Replace: it ends that run. Allow: both run.",
    )
    budget: Budget | None = Field(None, description="How many runs may start in a period.")
    unpromoted_limit: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        3,
        description="So many runs in a row without a promotion, and the policy is Stalled until a person asks for a run.",
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
    scheduled_time: Time | None = Field(None, description="The tick of the schedule.")
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

    number: int = Field(description="Number of the run, never used twice.")
    cause: Cause = Field(description="What set it off.")
    phase: RunPhase = Field(
        description="Pending, Training, Deciding (gate and approval), RollingOut; then Promoted, Rejected, RolledBack, "
        "Superseded, Failed, Replaced or DryRun."
    )
    message: str = Field("", description="What it waits for, or how it ended.")
    training_job: str | None = Field(None, description="The TrainingJob.")
    model_version: str | None = Field(None, description="The ModelVersion that came of it.")
    start_time: Time = Field(description="When it was decided.")
    completion_time: Time | None = Field(None, description="When it ended.")


class TriggerStatus(ApiModel):
    """What a trigger last saw."""

    name: str = Field(description="Name of the trigger.")
    state: str = Field(description="Waiting, Ok, Crossed, Firing, Scheduled or Invalid.")
    message: str = Field("", description="What it saw, and why it did or did not start a run.")
    value: Number | None = Field(None, description="Value that was last observed.")
    samples: int | None = Field(None, description="Samples in the window.")
    crossed_since: Time | None = Field(None, description="Since when the limit is crossed.")
    last_schedule_time: Time | None = Field(None, description="The last tick that was dealt with.")
    next_schedule_time: Time | None = Field(None, description="The next tick.")


class Skip(ApiModel):
    """A cause that started nothing."""

    time: Time = Field(description="When.")
    trigger: str = Field(description="Name of the trigger.")
    reason: str = Field(description="One CamelCase word: Cooldown, BudgetSpent, RunUnderWay, Suspended, ...")
    message: str = Field("", description="Why, in words.")


class RetrainPolicyStatus(ApiModel):
    """What a policy saw and did."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    last_run: int = Field(0, description="The highest number of a run.")
    active: int = Field(0, description="Runs under way.")
    unpromoted: int = Field(0, description="Runs in a row that ended without a promotion.")
    last_request: str | None = Field(None, description="The last request by hand that was dealt with.")
    next_schedule_time: Time | None = Field(None, description="The next tick of all schedules.")
    triggers: Annotated[list[TriggerStatus], Field(max_length=16, json_schema_extra=_MAP_BY_NAME)] = Field(
        default=[], description="What each trigger last saw."
    )
    runs: Annotated[list[Run], Field(max_length=20)] = Field(default=[], description="The last 20 runs, newest first.")
    skipped: Annotated[list[Skip], Field(max_length=20)] = Field(
        default=[], description="The last 20 causes that started nothing, newest first, and why."
    )
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_MAP_BY_TYPE)] = Field(
        default=[], description="Ready, Reconciling, Stalled."
    )
