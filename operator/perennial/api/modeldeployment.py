"""ModelDeployment: one model, served."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from perennial.analysis import AnalysisStatus
from perennial.api.base import (
    MAP_BY_TYPE,
    ApiModel,
    Condition,
    Count,
    Digest,
    Duration,
    IntOrPercent,
    Storage,
    StorageUri,
    Time,
)
from perennial.api.companions import Autoscaling, Disruption, Ingress, Network
from perennial.api.gate import EvaluationStatus, Gate
from perennial.api.golden import Golden, GoldenStatus
from perennial.api.modelversion import DeploymentState
from perennial.api.oneof import not_in_the_schema
from perennial.api.requestlog import RequestLog
from perennial.api.route import Route
from perennial.api.rules import rule, validations
from perennial.api.trainingjob import Format, ModelName
from perennial.api.verbatim import PodTemplate
from perennial.strategies import RollingUpdate, Strategy

# The name is that of the Service and begins those of the revisions' Deployments and of their pods.
OBJECT_RULES = (
    rule(
        "size(self.metadata.name) <= 45 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: becomes the Service's name: at most 45 characters of a-z, 0-9 and -, beginning with a letter",
    ),
)


class ServedModel(ApiModel):
    """Which model is served: by name, by name and version, or by uri, digest and format."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("has(self.name) != has(self.uri)", "give either name (a model) or uri (files outside of any version)"),
            rule("has(self.name) || !has(self.version)", "version is one of a model: give its name too", ".version"),
            rule(
                "!has(self.uri) || (has(self.digest) && has(self.format))",
                "files given by uri need digest (sha256:..., checked before they are served) and format",
            ),
            rule(
                "has(self.uri) || (!has(self.digest) && !has(self.format))",
                "digest and format go with uri; a version of a model brings its own",
            ),
        )
    )

    name: ModelName | None = Field(None, description="Follows this model's versions.")
    version: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(None, description="Stays at this version.")
    uri: StorageUri | None = Field(None, description="Serves these files, outside of any version.")
    digest: Digest | None = Field(None, description="sha256 of the files at `uri`.")
    format: Format | None = Field(None, description="Format of the files at `uri`.")


class Approval(StrEnum):
    """Who approves a version."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class ReadyWhen(StrEnum):
    """When the condition Ready is True in a rollout."""

    PROMOTED = "Promoted"
    CANARY_SERVING = "CanaryServing"


class RollbackWindow(ApiModel):
    """Going back to a revision that served not long ago needs no steps."""

    revisions: Annotated[int, Field(ge=1, le=20)] = Field(
        description="So many revisions that served before the present one."
    )


class ModelDeploymentSpec(ApiModel):
    """Which model is served, and how."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!(string(self.maxSurge).matches('^0+%?$') && string(self.maxUnavailable).matches('^0+%?$'))",
                "maxSurge and maxUnavailable must not both be 0: a rollout could neither add nor take away a pod",
                ".maxUnavailable",
            ),
            rule(
                "has(self.route) || !has(self.strategy) || !has(self.strategy.abTest)",
                "strategy.abTest needs spec.route: a gateway sees what requests carry",
                ".strategy",
            ),
            rule(
                "has(self.route) || !has(self.strategy) || !has(self.strategy.shadow)",
                "strategy.shadow needs spec.route: a gateway that knows the filter RequestMirror copies the requests",
                ".strategy",
            ),
            rule(
                "has(self.route) || !has(self.strategy) || !has(self.strategy.canary) || !self.strategy.canary.steps"
                ".exists(step, has(step.setHeaderRoute) || has(step.setCanaryScale))",
                "the steps setHeaderRoute and setCanaryScale need spec.route: without it pods share the requests",
                ".strategy",
            ),
            rule(
                "has(self.route) || !has(self.strategy) || !has(self.strategy.canary) "
                "|| self.strategy.canary.stableScale == 'Full'",
                "strategy.canary.stableScale needs spec.route: without it the ratio of pods is the weight",
                ".strategy",
            ),
        )
    )

    model: ServedModel = Field(description="Which model is served: {name}, {name, version} or {uri, digest, format}.")
    approval: Approval = Field(
        Approval.AUTOMATIC,
        description="Automatic: a version that passes the gate is rolled out. Manual: a person approves it first.",
    )
    gate: Gate | None = Field(
        None, description="What a version must show before it may take this deployment's traffic."
    )
    runtime: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        "auto", description="A serving preset of the operator's configuration; `auto` chooses by the model's format."
    )
    template: PodTemplate = Field(
        default={},
        description="Laid over the preset: containers, env and volumes by name, the rest replaced. Without a matching "
        "preset it is the whole pod template.",
    )
    storage: Storage | None = Field(
        None, description="Credentials for the model's store; without it the version's, or `perennial-storage`."
    )
    replicas: Annotated[int, Field(ge=0, le=10_000)] = Field(
        1, description="Pods that serve. Leave it out with `autoscaling`, which writes it."
    )
    autoscaling: Autoscaling | None = Field(
        None, description="A HorizontalPodAutoscaler of this name writes `replicas`, unless that is 0."
    )
    disruption: Disruption | None = Field(
        None, description="A PodDisruptionBudget of this name: pods that may be missing, or must stay."
    )
    network: Network | None = Field(None, description="A NetworkPolicy of this name: who may call the pods.")
    ingress: Ingress | None = Field(
        None, description="An Ingress of this name: requests from outside get to the Service."
    )
    route: Route | None = Field(
        None,
        description="An HTTPRoute of this name: gateways send requests to the deployment, and a canary gets its share "
        "by exact weights. Its pods then come on top of the others, whatever maxSurge says.",
    )
    request_log: RequestLog | None = Field(
        None,
        description="A sample of the rows that its pods are asked for, with what they answer, is kept. Default: none.",
    )
    strategy: Strategy = Field(
        default=Strategy(rolling_update=RollingUpdate()),
        json_schema_extra=not_in_the_schema,
        description="How a new revision takes over: exactly one; default: rollingUpdate.",
    )
    golden: Golden | None = Field(
        None,
        description="Requests that the new revision must answer as the stable one does, before it gets any other.",
    )
    rollback_window: RollbackWindow | None = Field(
        None, description="Going back to a revision that served not long ago leaves out the steps of the strategy."
    )
    max_surge: IntOrPercent = Field(1, description="Pods above `replicas` during a rollout: a number or a percentage.")
    max_unavailable: IntOrPercent = Field(
        0, description="Ready pods that may be missing during a rollout: a number or a percentage."
    )
    scale_down_delay: Annotated[
        Duration,
        Field(json_schema_extra=validations(rule("duration(self) <= duration('8760h')", "must be at most 8760h"))),
    ] = Field("30s", description="How long the old revision stays warm after a promotion.")
    progress_deadline_seconds: Annotated[int, Field(ge=5, le=604_800)] = Field(
        600, description="A rollout without progress for this long is rolled back."
    )
    ready_when: ReadyWhen = Field(
        ReadyWhen.PROMOTED,
        description="Promoted: Ready is True again when the new revision is promoted. CanaryServing: as soon as it is "
        "where its first step wants it, so that who waits for Ready need not wait for hours.",
    )
    paused: bool = Field(False, description="No rollout begins or goes on; one that fails is still rolled back.")
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        5, description="Old revisions that are kept, scaled to zero."
    )


# The reason of a candidate that waits for a person.
NOT_APPROVED = "NotApproved"


class Candidate(ApiModel):
    """A version that could be served, and why it is not served yet."""

    version: Count | None = Field(None, description="Number of the version; none for files given by uri.")
    state: DeploymentState = Field(description="RollingOut, Waiting, Rejected, Vetoed or Superseded.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="Why, in words.")


class Veto(ApiModel):
    """A version that failed here, with the template it failed with."""

    revision: str = Field(description="The revision that failed: version and template together.")
    version: Count | None = Field(None, description="Its version.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="What happened.")
    time: Time = Field(description="When.")
    evaluation: str | None = Field(
        None, description="Hash of the evaluation that it did not pass: by another one it is tried again."
    )


class Promotion(ApiModel):
    """A revision that took over, and the files that it serves."""

    revision: str = Field(description="The revision.")
    model: ModelName | None = Field(None, description="Name of its model; none for files given by uri.")
    version: Count | None = Field(None, description="Its version.")
    digest: Digest = Field(description="Digest of its model.")
    uri: StorageUri = Field(description="Where its model lies.")
    format: Format = Field(description="Format of its model.")
    storage: str | None = Field(None, description="The Secret with the credentials for its store.")
    time: Time = Field(description="When it took over.")
    evaluation: EvaluationStatus | None = Field(None, description="What the evaluation of spec.gate found.")
    gate_skipped: str | None = Field(None, description="What it did not show of spec.gate, and why a person let it in.")


class Traffic(ApiModel):
    """Where the Service sends requests."""

    revision: str | None = Field(None, description="The only one that gets them; none while a rollout shares them.")
    since: Time = Field(description="Since when this, and what is said of the preview, was seen.")
    preview_revision: str | None = Field(
        None, description="With a route: the revision that the preview Service leads to."
    )
    preview_weight: Count | None = Field(None, description="Percent that the gateways were last seen to send there.")
    preview_matched: bool | None = Field(
        None, description="Whether they were last seen to send requests there for what these carry."
    )
    preview_mirrored: Count | None = Field(
        None, description="Percent of the requests of which they were last seen to send copies there."
    )
    mechanism: str | None = Field(
        None,
        description="During a rollout: HTTPRoute, by the weights of the route, RequestMirror, by copies of them whose "
        "answers are dropped, ReplicaRatio, by how many pods of each revision are ready, or ServiceSelector: all of "
        "them to one revision.",
    )
    requested_weight: Count | None = Field(
        None, description="Percent of the requests, or of their hashed keys, that the new revision is to get now."
    )
    actual_weight: Count | None = Field(None, description="Percent that the new revision gets now.")


class Rollout(ApiModel):
    """A rollout under way."""

    revision: str = Field(description="The revision that is rolled out.")
    version: Count | None = Field(None, description="Its version.")
    start_time: Time = Field(description="When it began.")
    progress_time: Time = Field(description="When it last made progress.")
    ready_replicas: Count = Field(0, description="The most of its pods that were ready.")
    step: Count = Field(0, description="How many steps of its strategy are done.")
    step_time: Time | None = Field(None, description="Since when the step under way has been where it should be.")
    strategy: str | None = Field(None, description="Hash of the strategy that the steps are of.")
    steps_skipped: str | None = Field(None, description="Why its steps are left out.")
    gate_skipped: str | None = Field(None, description="What it did not show of spec.gate, and why a person let it in.")
    golden: GoldenStatus | None = Field(None, description="What its answers to the golden requests showed.")
    evaluation: EvaluationStatus | None = Field(None, description="What the evaluation of spec.gate found.")
    analysis: AnalysisStatus | None = Field(None, description="What was found since it gets requests.")
    held: str | None = Field(None, description="Why it may not go on: Paused, WeightNotPossible or MirrorNotPossible.")
    message: str = Field("", description="What it waits for.")


class RevisionStatus(ApiModel):
    """One revision's pods."""

    name: str = Field(description="The revision, and the name of its Deployment.")
    version: Count | None = Field(None, description="Its version.")
    model_state: str = Field(description="Loading, Ready, Failed or ScaledDown.")
    replicas: int = Field(0, description="Pods wanted.")
    ready_replicas: int = Field(0, description="Pods ready.")
    last_failure: str | None = Field(None, description="What its pods last failed with.")


class ModelDeploymentStatus(ApiModel):
    """What is served, and what is about to be."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    selector: str | None = Field(None, description="Selects the pods that get requests; read by /scale.")
    replicas: int = Field(0, description="Pods of all revisions.")
    ready_replicas: int = Field(0, description="Ready pods that the Service sends requests to.")
    url: str | None = Field(None, description="Where it answers inside the cluster.")
    preview_url: str | None = Field(None, description="Where the revision that comes answers.")
    model_version: str | None = Field(None, description="The ModelVersion that is served.")
    stable_revision: str | None = Field(None, description="The revision that is served.")
    traffic: Traffic | None = Field(None, description="Where the Service sends requests.")
    rollout: Rollout | None = Field(None, description="The rollout under way.")
    candidates: Annotated[list[Candidate], Field(max_length=20)] = Field(
        default=[], description="Versions above the one served, and why they are not served yet."
    )
    vetoes: Annotated[list[Veto], Field(max_length=20)] = Field(
        default=[], description="Revisions that failed here; a retry or a change lifts them."
    )
    promotions: Annotated[list[Promotion], Field(max_length=20)] = Field(
        default=[], description="Revisions that took over, newest first."
    )
    revisions: Annotated[list[RevisionStatus], Field(max_length=128)] = Field(
        default=[], description="The revisions that exist."
    )
    last_retry: str | None = Field(None, description="The last retry by annotation that was dealt with.")
    last_skip_step: str | None = Field(None, description="The same of perennial.dev/skip-step.")
    last_promote: str | None = Field(None, description="The same of perennial.dev/promote.")
    last_abort: str | None = Field(None, description="The same of perennial.dev/abort.")
    last_undo: str | None = Field(None, description="The same of perennial.dev/undo.")
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=MAP_BY_TYPE)] = Field(
        default=[],
        description="Ready, Available, Progressing; Reconciling, Stalled, UpdateAvailable and "
        "FieldsDropped while they are true, Autoscaling while it is false.",
    )
