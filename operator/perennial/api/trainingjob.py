"""TrainingJob: one training run of a model."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from perennial.api.base import (
    DNS_LABEL,
    MAP_BY_NAME,
    MAP_BY_TYPE,
    ApiModel,
    Condition,
    Count,
    Digest,
    InputUri,
    MetricName,
    Number,
    Storage,
    StorageUri,
    Time,
    public_uri,
)
from perennial.api.rules import Reason, fixed, rule, validations
from perennial.api.verbatim import PodTemplate

ModelName = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=40)]
# `perennial` formats are open: an own server image may understand any word.
Format = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]


class Phase(StrEnum):
    """Where a training run stands, for people; programs read the conditions."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    PUBLISHING = "Publishing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class TrainedModel(ApiModel):
    """The model that a run trains."""

    name: ModelName = Field(description="Name of the model; a success yields its next ModelVersion.")
    format: Format | None = Field(
        None, description="Format of the output, when it is not to be seen from its files (sklearn, mlflow, onnx, ...)."
    )


class Input(ApiModel):
    """Data that is there before training starts."""

    name: Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)] = Field(
        description="Its place: $PERENNIAL_INPUTS_DIR/<name>."
    )
    uri: InputUri = Field(description="http(s)://, s3:// or pvc://claim/path; a claim is mounted, the rest is fetched.")
    digest: Digest | None = Field(None, description="sha256 of the file or folder; when given, it is checked.")

    def public(self) -> Self:
        """As it may be told and recorded."""
        return self.model_copy(update={"uri": public_uri(self.uri)})


Inputs = Annotated[
    list[Input],
    Field(max_length=32, json_schema_extra=MAP_BY_NAME),
]
Parameters = Annotated[
    dict[Annotated[str, Field(max_length=63)], Any],
    Field(max_length=128, json_schema_extra={"additionalProperties": {"x-kubernetes-preserve-unknown-fields": True}}),
]


class OutputMode(StrEnum):
    """Who publishes the model."""

    MANAGED = "Managed"
    EXTERNAL = "External"


class Output(ApiModel):
    """Where the trained model goes."""

    uri: StorageUri | None = Field(
        None,
        description="s3://bucket/prefix or pvc://claim/prefix; the path below it is the operator's. "
        "Without it the chart's default, and without that a volume claim of the namespace.",
    )
    mode: OutputMode = Field(
        OutputMode.MANAGED,
        description="Managed: what the training writes to $PERENNIAL_OUTPUT_DIR is published. External: the training "
        "publishes by itself and writes {uri, digest, metrics} as JSON to /dev/termination-log.",
    )


class Code(ApiModel):
    """Where the training code comes from; recorded on the ModelVersion, not fetched."""

    repository: Annotated[str, Field(max_length=1024)] | None = Field(None, description="URL of the repository.")
    revision: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="Commit or tag.")

    def public(self) -> Self:
        """As it may be told and recorded."""
        return self.model_copy(update={"repository": self.repository and public_uri(self.repository)})


class Framework(StrEnum):
    """By whose rules the nodes of a distributed run find each other."""

    TORCH = "torch"
    JAX = "jax"
    XGBOOST = "xgboost"
    TENSORFLOW = "tensorflow"
    NONE = "none"


class Success(StrEnum):
    """Whose success is that of a distributed run."""

    ALL = "All"
    LEADER = "Leader"


class Elastic(ApiModel):
    """How many nodes a run goes on with."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("self.minNodes <= self.maxNodes", "minNodes must be at most maxNodes", ".minNodes")
        )
    )

    min_nodes: Annotated[int, Field(ge=1, le=512)] = Field(
        description="With fewer it waits, or waits again: what was lost is made anew."
    )
    max_nodes: Annotated[int, Field(ge=1, le=512)] = Field(
        description="Pods that train together when all have a place."
    )


class Distribution(ApiModel):
    """A run on several nodes, which start, fail and are tried again together."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.nodes) || !has(self.elastic)",
                "give nodes, or elastic.maxNodes, not both",
                ".nodes",
                Reason.FORBIDDEN,
            ),
            rule(
                "!has(self.elastic) || self.framework == 'torch'",
                "only torchrun goes on with fewer nodes: leave it out, or set framework: torch",
                ".elastic",
            ),
            rule(
                "!has(self.processesPerNode) || self.processesPerNode == 1 || self.framework == 'torch'",
                "only torchrun starts several processes on a node: leave it out, or set framework: torch",
                ".processesPerNode",
            ),
        )
    )

    framework: Framework = Field(
        Framework.NONE,
        description="Whose variables the training gets: torch, jax, xgboost, tensorflow; none: those of the run "
        "contract only.",
    )
    nodes: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Pods that train together; 1 when neither this nor elastic is given."
    )
    elastic: Elastic | None = Field(
        None,
        description="Goes on, by torchrun's rendezvous, when nodes are lost to the infrastructure, and takes them in "
        "when they are back.",
    )
    processes_per_node: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Processes that torchrun starts in each pod."
    )
    success: Success = Field(
        Success.ALL,
        description="All: the run has succeeded when every node has. Leader, and elastic runs always: when node 0 has; "
        "the others are stopped.",
    )

    @property
    def pods(self) -> int:
        """Pods that are made."""
        return self.elastic.max_nodes if self.elastic else self.nodes or 1

    @property
    def needed(self) -> int:
        """Pods without which it does not train."""
        return self.elastic.min_nodes if self.elastic else self.pods

    @property
    def by_leader(self) -> bool:
        """Whether it has succeeded when the leader has."""
        return self.success is Success.LEADER or self.elastic is not None


class FailureAction(StrEnum):
    """What follows a failed attempt."""

    FAIL_JOB = "FailJob"
    RESTART = "Restart"
    RESTART_UNCOUNTED = "RestartUncounted"


class FailureRule(ApiModel):
    """What follows an attempt that failed so: all that is given must hold."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.exitCodes) || has(self.reasons) || has(self.message)",
                "say which failures it is for: exitCodes, reasons or message",
                reason=Reason.REQUIRED,
            )
        )
    )

    action: FailureAction = Field(
        description="FailJob: the run has failed. Restart: it is tried again, as far as backoffLimit allows. "
        "RestartUncounted: it is tried again and not counted (at most 10 times)."
    )
    exit_codes: Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=1, max_length=64)] | None = Field(
        None, description="Exit codes of the container that failed."
    )
    reasons: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(min_length=1, max_length=32)] | None
    ) = Field(None, description="Reasons as status.failure.reason shows them: OutOfMemory, Killed, Disrupted, ...")
    message: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="A pattern for the whole of status.failure.message: * stands for anything, ? for a character."
    )


_CONTAINERS = "self.template.spec.containers"
_HAS_CONTAINERS = f"has(self.template) && has(self.template.spec) && has({_CONTAINERS}) && size({_CONTAINERS}) > 0"
_MADE = "has(oldSelf.status) && has(oldSelf.status.jobName)"
_MAKE_ANOTHER = "cannot change once the Job is made: apply a TrainingJob of another name"

# `parameters` cannot be read by a rule: the status says SpecChanged.
OBJECT_RULES = (
    rule(
        "size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must have at most 52 characters, lower-case letters, digits and '-': "
        "the names of the Job and its pods begin with it",
    ),
    *(
        fixed(field, _MADE, _MAKE_ANOTHER)
        for field in (
            "model",
            "runtime",
            "template",
            "inputs",
            "output",
            "storage",
            "code",
            "distribution",
            "failureRules",
            "backoffLimit",
            "publishDeadlineSeconds",
        )
    ),
)


class TrainingJobSpec(ApiModel):
    """What to train, and how."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"has(self.runtime) || ({_HAS_CONTAINERS})",
                "give spec.template with a training container, or spec.runtime: one of the operator's presets",
                ".template",
                Reason.REQUIRED,
            ),
            rule(
                f"!({_HAS_CONTAINERS}) || size({_CONTAINERS}) == 1 || {_CONTAINERS}.exists(c, c.name == 'train')",
                "with several containers the training container must be named `train`",
                ".template",
            ),
            rule(
                "has(self.runtime) || self.output.mode == 'External' || "
                f"!({_HAS_CONTAINERS}) || {_CONTAINERS}.exists(c, "
                f"(c.name == 'train' || size({_CONTAINERS}) == 1) && has(c.command) && size(c.command) > 0)",
                "the training container must say its `command`: the image's own entrypoint cannot be seen from outside "
                "(not needed with `output.mode: External`)",
                ".template",
                Reason.REQUIRED,
            ),
        )
    )

    model: TrainedModel = Field(description="The model that this run trains.")
    runtime: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="A preset of the operator's configuration; it fills what `template` leaves out."
    )
    template: PodTemplate = Field(
        default={},
        description="A pod template. The training container is the only one, or the one named `train`.",
    )
    parameters: Parameters = Field(
        default={},
        description="Given to the training as PERENNIAL_PARAM_<NAME> and in $PERENNIAL_PARAMETERS_FILE (JSON).",
    )
    inputs: Inputs = Field(default=[], description="Data that is there before training starts.")
    output: Output = Field(default=Output(), description="Where the trained model goes.")
    storage: Storage | None = Field(
        None, description="Credentials for stores; without it the Secret `perennial-storage`, if there is one."
    )
    code: Code | None = Field(None, description="Where the training code comes from; recorded on the ModelVersion.")
    distribution: Distribution | None = Field(
        None, description="Trains on several nodes; without it, in one pod that finds no others."
    )
    failure_rules: Annotated[list[FailureRule], Field(max_length=32)] = Field(
        default=[],
        description="What follows a failed attempt: the first rule that fits says it. Without one, what was lost to "
        "the infrastructure is tried again uncounted, and the rest as far as backoffLimit allows.",
    )
    backoff_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="Retries after failures. Pods lost to the infrastructure do not count (at most 10)."
    )
    active_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = Field(
        None, description="Running time, added up across suspensions, after which the run has failed."
    )
    pending_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = Field(
        None, description="How long a run may wait for its pod to run, suspensions not counted."
    )
    publish_deadline_seconds: Annotated[int, Field(ge=10, le=604_800)] = Field(
        1800, description="How long a finished training may keep its pod while its store is down."
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=315_360_000)] | None = Field(
        None,
        description="The TrainingJob is deleted this long after it finished. Under GitOps a deleted TrainingJob is "
        "applied, and so trained, again.",
    )
    suspend: bool = Field(False, description="Holds the run: its pods are stopped, and it starts again when lifted.")

    @property
    def nodes(self) -> int:
        """Pods that train together when all have a place."""
        return self.distribution.pods if self.distribution else 1

    @property
    def by_attempt(self) -> bool:
        """Whether each attempt is a Job of its own: Kubernetes' Jobs start pods again one by one, and know no rules on
        reasons and messages."""
        return self.distribution is not None or bool(self.failure_rules)


class Failure(ApiModel):
    """Why a run, or its last attempt, failed."""

    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="What happened and what to do about it.")
    exit_code: int | None = Field(None, description="Exit code of the container that failed.")
    pod: str | None = Field(None, description="The pod that failed.")
    time: Time | None = Field(None, description="When it was seen.")


class Outcome(StrEnum):
    """How an attempt ended."""

    ACTIVE = "Active"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DISRUPTED = "Disrupted"


class Attempt(ApiModel):
    """One pod of a run, or one go of all its nodes."""

    pod: str = Field(description="Name of the pod; of several nodes', that which failed first, or the leader.")
    outcome: Outcome = Field(
        description="Active, Succeeded, Failed, or Disrupted: lost to the infrastructure, not counted."
    )
    reason: str | None = Field(None, description="Why it failed.")


class Champion(ApiModel):
    """The model version that was served when the run started; the training gets its files."""

    deployment: str = Field(description="The ModelDeployment that served it.")
    version: Count | None = Field(None, description="Its version, when it is one of the model's.")
    uri: StorageUri = Field(description="Where it lies.")
    digest: Digest = Field(description="Its digest.")


class Origin(ApiModel):
    """What a run was trained from: its spec as the Job was made of it, without the pod template."""

    model: ModelName = Field(description="Name of the model.")
    parameters: Parameters = Field(default={}, description="Parameters of the training.")
    inputs: Inputs = Field(default=[], description="Data that it was trained on.")
    storage: Storage | None = Field(None, description="Credentials for stores.")
    code: Code | None = Field(None, description="Where the training code comes from.")


class PublishedModel(ApiModel):
    """What a run published."""

    origin: Origin = Field(description="What it was trained from.")
    uri: StorageUri = Field(description="Where the model lies.")
    digest: Digest = Field(description="sha256 of the file or folder.")
    format: Format = Field(description="Format of the model.")
    metrics: Annotated[dict[MetricName, Number], Field(max_length=32)] = Field(
        default={}, description="What the training measured."
    )
    evaluation: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="Names the data that the metrics were measured on."
    )
    image: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="The image that trained it, by digest."
    )
    inputs: dict[str, Digest] = Field(default={}, description="Digests of the inputs, by name.")


class TrainingJobStatus(ApiModel):
    """Where a run stands."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    phase: Phase | None = Field(None, description="Pending, Suspended, Running, Publishing, Succeeded or Failed.")
    job_name: str | None = Field(None, description="The Job that runs it.")
    spec_hash: str | None = Field(None, description="Hash of the spec that the Job was made from.")
    attempt: Count | None = Field(None, description="Number of the present or last attempt, from 1.")
    attempts: Annotated[list[Attempt], Field(max_length=128)] = Field(
        default=[], description="What was tried, oldest first."
    )
    start_time: Time | None = Field(None, description="When the training first ran.")
    completion_time: Time | None = Field(None, description="When the run succeeded or failed.")
    pending_since: Time | None = Field(None, description="Since when it waits for its pod to run.")
    running_since: Time | None = Field(None, description="Since when it runs, after the last suspension.")
    running_seconds: Count | None = Field(None, description="Running time before the last suspension.")
    result: PublishedModel | None = Field(None, description="What was published.")
    metrics: dict[MetricName, Number] | None = Field(None, description="What the training measured.")
    champion: Champion | None = Field(None, description="The version that was served when the run started.")
    model_version: str | None = Field(None, description="The ModelVersion that came of it.")
    failure: Failure | None = Field(None, description="Why the run, or its last attempt, failed.")
    conditions: Annotated[
        list[Condition],
        Field(max_length=16, json_schema_extra=MAP_BY_TYPE),
    ] = Field(
        default=[],
        description="Complete, Failed, Running, Suspended, Reconciling, Stalled, SpecChanged, FieldsDropped.",
    )
