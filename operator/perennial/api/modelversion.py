"""Model and ModelVersion: the records of what was trained, from what, and why."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from perennial.api.base import MAP_BY_NAME, ApiModel, Count, MetricName, Number, Storage, StorageUri, WrittenTime
from perennial.api.retrainpolicy import Cause
from perennial.api.rules import fixed, rule
from perennial.api.trainingjob import Champion, Code, Format, Input, ModelName


class Decision(StrEnum):
    """What a person decided about a version."""

    APPROVED = "Approved"
    REJECTED = "Rejected"


class TrainingJobReference(ApiModel):
    """The run that trained a version."""

    name: str = Field(description="Name of the TrainingJob.")
    uid: str = Field(description="Its uid.")


class RetrainReference(ApiModel):
    """The RetrainPolicy run that a version came of."""

    policy: str = Field(description="Name of the RetrainPolicy.")
    run: Count = Field(description="Number of the run.")
    cause: Cause = Field(description="What set it off.")


# `parameters` cannot be read by a rule: the chart's admission policy keeps them.
OBJECT_RULES = (
    rule(
        "self.metadata.name.startsWith(self.spec.model + '-') && "
        "self.metadata.name.substring(size(self.spec.model) + 1).matches('^[1-9][0-9]{0,9}$') && "
        "int(self.metadata.name.substring(size(self.spec.model) + 1)) == self.spec.version",
        "metadata.name must be <spec.model>-<spec.version>",
    ),
    *(
        fixed(field, "true", "cannot change: a version is what was trained. Make another version")
        for field in (
            "model",
            "version",
            "uri",
            "digest",
            "format",
            "storage",
            "metrics",
            "evaluation",
            "champion",
            "inputs",
            "image",
            "code",
            "trainingJob",
            "retrain",
        )
    ),
)


class ModelVersionSpec(ApiModel):
    """What a version is and where it came from. Only `approval` and `approvedBy` may change."""

    model: ModelName = Field(description="Name of the model.")
    version: Annotated[int, Field(ge=1, le=2_147_483_647)] = Field(description="Number of the version.")
    uri: StorageUri = Field(description="Where its files lie.")
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)] = Field(
        description="sha256 of its file or folder; checked before it is served."
    )
    format: Format = Field(description="Format of its files (sklearn, mlflow, onnx, ...).")
    storage: Storage | None = Field(None, description="Credentials for the store.")
    metrics: Annotated[dict[MetricName, Number], Field(max_length=32)] = Field(
        default={}, description="What the training measured; `champion.<metric>` is the champion on the same data."
    )
    evaluation: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="Names the data that the metrics were measured on."
    )
    champion: Champion | None = Field(None, description="The version that `champion.*` metrics belong to.")
    parameters: Annotated[
        dict[str, Any],
        Field(
            max_length=128, json_schema_extra={"additionalProperties": {"x-kubernetes-preserve-unknown-fields": True}}
        ),
    ] = Field(default={}, description="Parameters of the training.")
    inputs: Annotated[list[Input], Field(max_length=32, json_schema_extra=MAP_BY_NAME)] = Field(
        default=[], description="Data that it was trained on."
    )
    image: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="The image that trained it, by digest."
    )
    code: Code | None = Field(None, description="Where the training code comes from.")
    training_job: TrainingJobReference | None = Field(None, description="The TrainingJob that trained it.")
    retrain: RetrainReference | None = Field(None, description="The RetrainPolicy run and its cause.")
    approval: Decision | None = Field(
        None, description="Approved or Rejected; written by people. A rejection takes it out of every deployment."
    )
    approved_by: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="Who wrote `approval`; must be the user who writes it."
    )


class DeploymentState(StrEnum):
    """What a deployment made of a version."""

    SERVING = "Serving"
    ROLLING_OUT = "RollingOut"
    WAITING = "Waiting"
    REJECTED = "Rejected"
    VETOED = "Vetoed"
    SUPERSEDED = "Superseded"


class DeploymentVerdict(ApiModel):
    """What one deployment made of this version, and why."""

    name: str = Field(description="Name of the ModelDeployment.")
    state: DeploymentState = Field(description="Serving, RollingOut, Waiting, Rejected, Vetoed or Superseded.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="Why.")


MAX_DEPLOYMENTS = 256


class ModelVersionStatus(ApiModel):
    """Who serves a version, and what the deployments made of it."""

    observed_generation: int | None = Field(None, description="The generation that this status was decided on.")
    served_by: Annotated[list[str], Field(max_length=MAX_DEPLOYMENTS)] = Field(
        default=[],
        description="The ModelDeployments that serve it or roll it out; it cannot be deleted while there are any.",
    )
    deployments: Annotated[
        list[DeploymentVerdict], Field(max_length=MAX_DEPLOYMENTS, json_schema_extra=MAP_BY_NAME)
    ] = Field(default=[], description="What each ModelDeployment made of it.")
    state: str | None = Field(None, description="The same in short: deployment=state.")
    message: str | None = Field(None, description="Why, in words: what each deployment says of it.")


class Reservation(ApiModel):
    """A version number that is given away, and to which run."""

    version: Count = Field(description="The number.")
    uid: str = Field(description="The uid of the TrainingJob.")


MAX_RESERVED = 1024
LAST_VERSION = 2_147_483_647


class ModelStatus(ApiModel):
    """The overview of one model."""

    highest_version: Count = Field(0, description="The highest version ever given; never given again.")
    reserved: Annotated[list[Reservation], Field(max_length=MAX_RESERVED)] = Field(
        default=[], description="Numbers that are given to runs whose ModelVersion is being made."
    )
    latest_approved: Count | None = Field(None, description="The highest version that a person approved.")
    serving: str | None = Field(None, description="Where which version is served: deployment=version.")
    last_trained: WrittenTime | None = Field(None, description="When a version of it was last trained.")
