"""ModelDeployment: one model, served."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from perennial.api.base import (
    ApiModel,
    Condition,
    Digest,
    Duration,
    MetricName,
    Number,
    PodTemplate,
    Storage,
    StorageUri,
    Time,
)
from perennial.api.trainingjob import Format, ModelName

_MAP_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
INT_OR_PERCENT = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
    "pattern": "^[0-9]+%?$",
    "maxLength": 12,
}
IntOrPercent = Annotated[int | str, Field(json_schema_extra=INT_OR_PERCENT)]


class ServedModel(ApiModel):
    """Which model is served: by name, by name and version, or by uri, digest and format."""

    name: ModelName | None = Field(None, description="Follows this model's versions.")
    version: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(None, description="Stays at this version.")
    uri: StorageUri | None = Field(None, description="Serves these files, outside of any version.")
    digest: Digest | None = Field(None, description="sha256 of the files at `uri`.")
    format: Format | None = Field(None, description="Format of the files at `uri`.")


class Approval(StrEnum):
    """Who approves a version."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class GateMetric(ApiModel):
    """One limit that a version must keep."""

    name: MetricName = Field(description="Name of the metric on the ModelVersion.")
    min: Number | None = Field(None, description="At least this.")
    max: Number | None = Field(None, description="At most this.")
    no_worse_than_champion_by: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="At most this much worse than the champion's score on the same data."
    )
    lower_is_better: bool = Field(False, description="For errors and losses: worse is higher.")


class Gate(ApiModel):
    """What a version must show before it may take this deployment's traffic."""

    metrics: Annotated[list[GateMetric], Field(min_length=1, max_length=16)] = Field(
        description="All must hold. A limit that cannot be computed does not hold."
    )


class RollingUpdate(ApiModel):
    """The new revision takes over replica by replica."""


class Strategy(ApiModel):
    """How a new revision takes over."""

    rolling_update: RollingUpdate = Field(
        default=RollingUpdate(), description="The new revision takes over replica by replica."
    )


class ModelDeploymentSpec(ApiModel):
    """Which model is served, and how."""

    model: ServedModel = Field(description="Which model is served: {name}, {name, version} or {uri, digest, format}.")
    approval: Approval = Field(
        Approval.AUTOMATIC,
        description="Automatic: a version that passes the gate is rolled out. Manual: a person approves the ModelVersion.",
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
    replicas: Annotated[int, Field(ge=0, le=10_000)] = Field(1, description="Pods that serve.")
    strategy: Strategy = Field(default=Strategy(), description="How a new revision takes over.")
    max_surge: IntOrPercent = Field(1, description="Pods above `replicas` during a rollout: a number or a percentage.")
    max_unavailable: IntOrPercent = Field(
        0, description="Ready pods that may be missing during a rollout: a number or a percentage."
    )
    scale_down_delay: Duration = Field("30s", description="How long the old revision stays warm after a promotion.")
    progress_deadline_seconds: Annotated[int, Field(ge=5, le=604_800)] = Field(
        600, description="A rollout without progress for this long is rolled back."
    )
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        5, description="Old revisions that are kept, scaled to zero."
    )


class Candidate(ApiModel):
    """A version above the one served, and why it is not served yet."""

    version: int = Field(description="Number of the version.")
    state: str = Field(description="RollingOut, Waiting, Rejected, Vetoed or Superseded.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="Why, in words.")


class Veto(ApiModel):
    """A version that failed here, with the template it failed with."""

    revision: str = Field(description="The revision that failed: version and template together.")
    version: int | None = Field(None, description="Its version.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="What happened.")
    time: Time = Field(description="When.")


class Promotion(ApiModel):
    """A revision that took over."""

    revision: str = Field(description="The revision.")
    version: int | None = Field(None, description="Its version.")
    digest: str = Field(description="Digest of its model.")
    uri: str = Field(description="Where its model lies.")
    time: Time = Field(description="When it took over.")


class Rollout(ApiModel):
    """A rollout under way."""

    revision: str = Field(description="The revision that is rolled out.")
    version: int | None = Field(None, description="Its version.")
    start_time: Time = Field(description="When it began.")
    progress_time: Time = Field(description="When it last made progress.")
    ready_replicas: int = Field(0, description="Its ready pods.")
    message: str = Field("", description="What it waits for.")


class RevisionStatus(ApiModel):
    """One revision's pods."""

    name: str = Field(description="The revision.")
    version: int | None = Field(None, description="Its version.")
    deployment: str = Field(description="Its Deployment.")
    model_state: str = Field(description="Loading, Ready, Failed or ScaledDown.")
    replicas: int = Field(0, description="Pods wanted.")
    ready_replicas: int = Field(0, description="Pods ready.")
    last_failure: str | None = Field(None, description="What its pods last failed with.")


class ModelDeploymentStatus(ApiModel):
    """What is served, and what is about to be."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    selector: str | None = Field(None, description="Selects the pods; read by /scale.")
    replicas: int = Field(0, description="Pods of all revisions.")
    ready_replicas: int = Field(0, description="Ready pods of all revisions.")
    url: str | None = Field(None, description="Where it answers inside the cluster.")
    model_version: str | None = Field(None, description="The ModelVersion that is served.")
    stable_revision: str | None = Field(None, description="The revision that is served.")
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
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_MAP_BY_TYPE)] = Field(
        default=[], description="Ready, Available, Progressing, Reconciling, Stalled."
    )
