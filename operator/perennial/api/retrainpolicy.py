"""RetrainPolicy: when to train a model again."""

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from perennial.api.base import (
    DNS_NAME,
    MAP_BY_NAME,
    MAP_BY_TYPE,
    MOST,
    SET,
    ApiModel,
    Condition,
    Count,
    Digest,
    Duration,
    Number,
    Time,
    WrittenTime,
)
from perennial.api.rules import rule, validations
from perennial.api.task import MAX_SHOWN_COLUMNS
from perennial.api.trigger import Cron, Trigger, TriggerName

MAP_BY_RECEIVER = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["receiver"]}
_YEAR = "duration('8760h')"

OBJECT_RULES = (
    rule(
        "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must have at most 40 characters, lower-case letters, digits and '-': "
        "the names of its TrainingJobs begin with it",
    ),
)

# So many runs are remembered, and so many may a budget count.
MAX_RUNS = 20
MAX_SKIPPED = 20
# What runs that are not remembered used is known in so many parts of the period; it begins and ends within one.
MAX_PAST_USE = 21
MAX_REQUESTS = 20
_MAX_ID = 128

# A message of nothing would be an empty line on `kubectl describe`.
_NOTHING = "".__eq__
_NO_LIST = [].__eq__
_NO_BUDGET = "give at least one limit: runs or acceleratorHours"


class DeploymentReference(ApiModel):
    """A ModelDeployment of the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the ModelDeployment.")


class ConcurrencyPolicy(StrEnum):
    """What happens when a cause comes while a run of the policy is under way."""

    FORBID = "Forbid"
    REPLACE = "Replace"
    ALLOW = "Allow"


class Budget(ApiModel):
    """What the runs of a policy may come to in a period."""

    model_config = ConfigDict(
        json_schema_extra=validations(rule("has(self.runs) || has(self.acceleratorHours)", _NO_BUDGET))
    )

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.runs is None and self.accelerator_hours is None:
            raise ValueError(_NO_BUDGET)
        return self

    runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None = Field(
        None, description="Runs that may start in the period."
    )
    # No more than what the status can hold of one run.
    accelerator_hours: Annotated[int, Field(ge=1, le=500_000)] | None = Field(
        None,
        description="Once the trainings of runs have used so many accelerators times hours in the period, none starts. "
        "An accelerator is one of any extended resource (nvidia.com/gpu, ...) in the limits of the pod.",
    )
    per: Annotated[
        Duration, Field(json_schema_extra=validations(rule(f"duration(self) <= {_YEAR}", "must be at most 8760h")))
    ] = Field("24h", description="The period, sliding.")


class When(StrEnum):
    """Which of the triggers a run needs."""

    ANY = "Any"
    ALL = "All"


class QuietHours(Cron):
    """A time in which no run starts."""

    name: TriggerName = Field(description="Name of the time, as it is told why a run waits.")
    duration: Annotated[
        Duration,
        Field(
            json_schema_extra=validations(
                rule("duration(self) > duration('0s') && duration(self) <= duration('720h')", "must be 1s to 720h")
            )
        ),
    ] = Field(description="How long it lasts from each of the times.")


class Occasion(StrEnum):
    """What is told of a run."""

    STARTED = "Started"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"
    REPLACED = "Replaced"


# Not `on`: in YAML that is the key `true`.
class Notification(ApiModel):
    """Who is told of what."""

    receiver: Annotated[str, Field(pattern=DNS_NAME, max_length=63)] = Field(
        description="Name of a receiver in the chart's `receivers`."
    )
    events: Annotated[list[Occasion], Field(min_length=1, max_length=8, json_schema_extra=SET)] = Field(
        description="Started, AwaitingApproval, or how a run ended: Promoted, Rejected, RolledBack, Superseded, "
        "Failed, Replaced."
    )


class Watch(ApiModel):
    """How long a new version is on probation."""

    period: Annotated[
        Duration,
        Field(
            json_schema_extra=validations(
                rule(f"duration(self) > duration('0s') && duration(self) <= {_YEAR}", "must be 1s to 8760h")
            )
        ),
    ] = Field(
        description="A version of this policy's runs whose metric crosses a limit within this time after its promotion "
        "is rolled back, not trained again."
    )


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
    when: When = Field(
        When.ANY, description="Any: each trigger is a cause. All: a run starts when all of them are crossed, or due."
    )
    cooldown: Annotated[
        Duration, Field(json_schema_extra=validations(rule(f"duration(self) <= {_YEAR}", "must be at most 8760h")))
    ] = Field("0s", description="Rest after the end of a run; a request by hand ignores it.")
    concurrency_policy: ConcurrencyPolicy = Field(
        ConcurrencyPolicy.FORBID,
        description="Forbid: a cause during a run starts nothing. Replace: it ends that run. Allow: both run.",
    )
    quiet_hours: Annotated[list[QuietHours], Field(max_length=16, json_schema_extra=MAP_BY_NAME)] = Field(
        default=[], description="Times in which no run starts; a request by hand ignores them."
    )
    budget: Budget | None = Field(None, description="What runs may come to in a period.")
    unpromoted_limit: Annotated[int, Field(ge=1, le=1000)] = Field(
        3,
        description="So many runs in a row without a promotion, and the policy is Stalled until a person asks for one.",
    )
    watch: Watch | None = Field(None, description="Whether new versions are on probation. Default: no.")
    notify: Annotated[list[Notification], Field(max_length=16, json_schema_extra=MAP_BY_RECEIVER)] = Field(
        default=[], description="Who is told of its runs."
    )
    suspend: bool = Field(False, description="No run is started; requests by hand wait.")
    dry_run: bool = Field(False, description="Runs are recorded, but no TrainingJob is made.")


class DataSeen(ApiModel):
    """What data looked like at a time."""

    time: WrittenTime = Field(description="When it was looked at.")
    objects: Annotated[int, Field(ge=0)] = Field(description="How many objects there were.")
    bytes: Annotated[int, Field(ge=0)] = Field(description="How many bytes they had.")
    digest: Digest = Field(description="Of their names, sizes and the store's tags or times.")
    revision: str | None = Field(None, description="The commit, of a Git reference.")


class ColumnSeen(ApiModel):
    """How far one column is from the reference."""

    name: str = Field(description="Name of the column, its first 63 characters.")
    score: Number = Field(description="Its distance; of a test, the probability to be as far by chance.")


class DriftSeen(ApiModel):
    """How far data was from the reference at a time."""

    time: WrittenTime = Field(description="When it was looked at.")
    rows: Count = Field(description="How many rows there were.")
    reference_rows: Count = Field(description="How many the reference has.")
    columns: Count = Field(description="How many columns were compared.")
    drifted: Count = Field(description="How many of them have drifted.")
    farthest: Annotated[list[ColumnSeen], Field(max_length=MAX_SHOWN_COLUMNS)] = Field(
        default=[], description="The columns that are farthest apart."
    )
    report: str | None = Field(None, description="Where the report lies.")


class ConceptDriftSeen(ApiModel):
    """How a metric had changed since the promotion at a time."""

    time: WrittenTime = Field(description="When it was looked at.")
    samples: Count = Field(description="How many samples there were.")
    changes: Count = Field(description="How often it changed.")
    change_time: WrittenTime | None = Field(None, description="When it changed last.")
    before: Number | None = Field(None, description="Its mean before the last change, since the change before that.")
    after: Number | None = Field(None, description="Its mean since the last change.")


class Cause(ApiModel):
    """What set off a run."""

    trigger: str = Field(description="Name of the trigger; `request` when asked for by hand.")
    type: Literal["Metric", "Drift", "ConceptDrift", "Data", "Schedule", "Event", "Request"] = Field(
        description="Metric, Drift, ConceptDrift, Data, Schedule, Event (a program asked) or Request (by hand)."
    )
    message: str = Field("", description="The cause in words.")
    metric: str | None = Field(None, description="Name of the metric.")
    value: Number | None = Field(None, description="Value that was observed.")
    limit: Number | None = Field(None, description="Limit that it crossed.")
    samples: int | None = Field(None, description="How many samples it was made of.")
    window: str | None = Field(None, description="Window of the samples.")
    revision: str | None = Field(None, description="Revision of the ModelDeployment that was measured.")
    drift: DriftSeen | None = Field(None, description="What was seen of drift.")
    concept_drift: ConceptDriftSeen | None = Field(None, description="How the metric had changed.")
    data: DataSeen | None = Field(None, description="What was seen of the data.")
    scheduled_time: WrittenTime | None = Field(None, description="The tick of the schedule.")
    request: str | None = Field(None, description="Id of the request.")


class RunPhase(StrEnum):
    """Where a run stands."""

    PENDING = "Pending"
    TRAINING = "Training"
    DECIDING = "Deciding"
    AWAITING_APPROVAL = "AwaitingApproval"
    ROLLING_OUT = "RollingOut"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"
    REPLACED = "Replaced"
    DRY_RUN = "DryRun"


class PendingNotice(ApiModel):
    """What a receiver is still to be told of a run."""

    receiver: str = Field(description="Name of the receiver.")
    event: Occasion = Field(description="What it is to be told.")
    time: Time = Field(description="When that happened.")


class AcceleratorUse(ApiModel):
    """How many accelerators a training had, and for how long."""

    accelerators: Annotated[int, Field(ge=1, le=MOST)] = Field(description="How many its pod asked for.")
    accelerator_seconds: Count = Field(
        description="Accelerators times the seconds that it ran; while it runs, those before `since`."
    )
    since: Time | None = Field(None, description="Since when it runs, after the last suspension.")
    until: Time | None = Field(None, description="Until when it ran, when it does not run.")


class Run(ApiModel):
    """One run: cause, TrainingJob, gate, approval, rollout, outcome."""

    number: Count = Field(description="Number of the run, never used twice.")
    cause: Cause = Field(description="What set it off.")
    phase: RunPhase = Field(
        description="Pending, Training, Deciding (gate), AwaitingApproval, RollingOut; then Promoted, Rejected, "
        "RolledBack, Superseded, Failed, Replaced or DryRun."
    )
    message: str = Field("", description="What it waits for, or how it ended.", exclude_if=_NOTHING)
    training_job: str | None = Field(None, description="The TrainingJob.")
    model_version: str | None = Field(None, description="The ModelVersion that came of it.")
    start_time: Time = Field(description="When it was decided.")
    completion_time: Time | None = Field(None, description="When it ended.")
    accelerator_use: AcceleratorUse | None = Field(
        None, description="What its training used of accelerators, if it asked for any."
    )
    watched_until: Time | None = Field(None, description="Until when its version is on probation.")
    relapse_time: Time | None = Field(None, description="When its version relapsed: it is not to serve any more.")
    pending_notices: Annotated[list[PendingNotice], Field(max_length=32)] = Field(
        default=[], description="Who is still to be told of it; for a day.", exclude_if=_NO_LIST
    )


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
    below: Number | None = Field(None, description="It must not be below this.")
    above: Number | None = Field(None, description="It must not be above this.")
    baseline: Number | None = Field(None, description="What its limits are relative to.")
    baseline_revision: str | None = Field(None, description="The revision that showed this baseline.")
    crossed_since: Time | None = Field(None, description="Since when the limit is crossed.")
    last_look_time: Time | None = Field(None, description="The look that the value is of, where a Job looks.")
    next_look_time: Time | None = Field(None, description="The next look, or the one whose Job runs.")
    look_revision: str | None = Field(None, description="The revision that is looked at.")
    drift: DriftSeen | None = Field(None, description="What the last look saw of drift.")
    concept_drift: ConceptDriftSeen | None = Field(None, description="How the last look saw that the metric changed.")
    data: DataSeen | None = Field(None, description="What the data looked like last.")
    known_data: DataSeen | None = Field(
        None, description="What it is compared with: how it was when a run was last started for it, or at first."
    )
    last_schedule_time: Time | None = Field(None, description="The last tick that was started or missed.")
    next_schedule_time: Time | None = Field(None, description="The next tick, or the one that is held.")


class Skip(ApiModel):
    """A cause that started nothing."""

    time: Time = Field(description="The tick, or since when the limit is crossed.")
    trigger: str = Field(description="Name of the trigger.")
    reason: str = Field(description="One CamelCase word: Cooldown, BudgetSpent, RunUnderWay, Suspended, Missed, ...")
    message: str = Field("", description="Why, in words.")


class RunRequest(ApiModel):
    """A run that a program asked for."""

    id: Annotated[str, Field(max_length=128)] = Field(description="By which it is known when it is sent again.")
    by: Annotated[str, Field(max_length=253)] = Field(description="The user who asked.")
    time: WrittenTime = Field(description="When it came.")
    run: int | None = Field(None, description="The run that deals with it; none while it waits.")


def request_id(value: str) -> str:
    """What is remembered of an id that somebody gives a request: itself, or its hash when it is long."""
    return value if len(value) <= _MAX_ID else sha256_of(value)


def sha256_of(value: str) -> str:
    """What stands for a text that must not stand itself."""
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()


class RetrainPolicyStatus(ApiModel):
    """What a policy saw and did."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    last_run: Count = Field(0, description="The highest number of a run.")
    active: Count = Field(0, description="Runs under way.")
    unpromoted: Count = Field(0, description="Runs in a row that ended without a promotion.")
    last_request: str | None = Field(None, description="The last request by hand that was dealt with.")
    last_rebaseline: str | None = Field(None, description="The last request for new baselines that was dealt with.")
    rebaseline_time: Time | None = Field(
        None, description="When that was: no baseline of what a revision shows is of before."
    )
    requests: Annotated[list[RunRequest], Field(max_length=MAX_REQUESTS)] = Field(
        default=[], description="The last 20 runs that programs asked for, oldest first."
    )
    next_schedule_time: Time | None = Field(None, description="The next tick of all schedules.")
    triggers: Annotated[list[TriggerStatus], Field(max_length=17, json_schema_extra=MAP_BY_NAME)] = Field(
        default=[], description="What each trigger last saw."
    )
    runs: Annotated[list[Run], Field(max_length=MAX_RUNS)] = Field(
        default=[], description="The last 20 runs, newest first."
    )
    past_accelerator_use: Annotated[list[AcceleratorUse], Field(max_length=MAX_PAST_USE)] = Field(
        default=[], description="What runs before those used, as far as spec.budget.acceleratorHours counts it."
    )
    skipped: Annotated[list[Skip], Field(max_length=MAX_SKIPPED)] = Field(
        default=[], description="The last 20 causes that started nothing, newest first, and why."
    )
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=MAP_BY_TYPE)] = Field(
        default=[], description="Ready, Reconciling, Stalled; Notified while it is false."
    )
