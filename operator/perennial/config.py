"""The operator's configuration file, as the chart renders it: images, defaults, runtime presets."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, model_validator

from perennial.api.base import DNS_LABEL, ApiModel, Duration, MetricName, StorageUri
from perennial.api.verbatim import PodTemplate
from perennial.sources.pods import Pods


class _Strict(ApiModel):
    model_config = ConfigDict(extra="forbid")


class Images(_Strict):
    """The images that the operator puts into users' pods."""

    agent: str = "perennial/agent:0.1.0"
    server: str = "perennial/server:0.1.0"
    drift: str = "perennial/drift:0.1.0"
    pull_policy: Annotated[str, Field(pattern="^(Always|IfNotPresent|Never)$")] = "IfNotPresent"


class Claim(_Strict):
    """The volume claim that is made in a namespace when neither it nor the chart names an output."""

    size: str = "10Gi"
    storage_class_name: str | None = None


class PodSecurity(_Strict):
    """What users' training and serving containers run as, where their template says nothing else."""

    run_as_user: int | None = 65532
    run_as_group: int | None = 65532
    fs_group: int | None = 65532
    allow_privilege_escalation: bool | None = False
    seccomp_profile: str | None = "RuntimeDefault"


class Defaults(_Strict):
    """What objects get that do not say otherwise."""

    output: StorageUri | None = None
    claim: Claim = Claim()
    pod_security: PodSecurity = PodSecurity()
    agent_resources: dict[str, Any] = Field(
        default_factory=lambda: {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    )


class TrainingRuntime(_Strict):
    """A preset for TrainingJobs: fills what their template leaves out."""

    template: PodTemplate


class ServingRuntime(_Strict):
    """A preset for ModelDeployments; `runtime: auto` takes the first by name that serves the model's format.

    metrics: what analyses may ask its pods for, by the name that they ask for.
    """

    formats: tuple[str, ...] = ()
    metrics: dict[MetricName, Pods] = Field(default_factory=dict)
    template: PodTemplate


Url = Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$", max_length=1024)]


class Server(_Strict):
    """A server that analyses may ask. The files are read whenever they are needed: tokens rotate."""

    url: Url
    token_file: Path | None = None
    ca_file: Path | None = None


class Receiver(_Strict):
    """Somebody who is told. Its files are read whenever they are needed.

    url_file: in place of `url`, where that is a secret, as Slack's is. key_file: PagerDuty's routing key. text: what is
    told, with $summary, $reason, $severity and the names of the details for what they stand for.
    """

    form: Literal["Alertmanager", "CloudEvents", "PagerDuty", "Slack"]
    url: Url | None = None
    url_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    text: Annotated[str, Field(min_length=1, max_length=4096)] = "$summary"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.form == "PagerDuty":
            if self.key_file is None:
                raise ValueError("PagerDuty needs keyFile, the file with its routing key")
        elif self.url is None and self.url_file is None:
            raise ValueError(f"{self.form} needs url or urlFile")
        return self


class Storm(_Strict):
    """So many policies whose limits are crossed `within` so short a time are one outage: their runs wait for `hold`,
    and `receivers` are told once."""

    policies: Annotated[int, Field(ge=2)] = 10
    within: Duration = "10m"
    hold: Duration = "1h"
    receivers: tuple[str, ...] = ()


class Retraining(_Strict):
    """What all policies share. max_concurrent: as many of their TrainingJobs may be under way at once. jitter: each run
    begins up to so much later."""

    max_concurrent: Annotated[int, Field(ge=1)] | None = None
    jitter: Duration = "0s"
    storm: Storm | None = None


# Becomes the value of a label.
_RuntimeName = Annotated[str, Field(pattern=DNS_LABEL, max_length=63)]


class Config(_Strict):
    """The whole configuration. An unknown or wrong key is an error that names it: the operator does not start.

    mirroring_gateways: controllers of gateways that copy requests, beside those that are known.
    model_cache: where a pod finds the cache of its node.
    """

    images: Images = Images()
    defaults: Defaults = Defaults()
    training_runtimes: dict[str, TrainingRuntime] = Field(default_factory=dict)
    serving_runtimes: dict[_RuntimeName, ServingRuntime] = Field(default_factory=dict)
    prometheus_servers: dict[str, Server] = Field(default_factory=dict)
    mlflow_servers: dict[str, Server] = Field(default_factory=dict)
    webhooks: dict[str, Server] = Field(default_factory=dict)
    receivers: dict[str, Receiver] = Field(default_factory=dict)
    retraining: Retraining = Retraining()
    mirroring_gateways: tuple[str, ...] = ()
    model_cache: Annotated[str, Field(pattern=r"^http://[^\s?#@]+$", max_length=1024)] | None = None

    @model_validator(mode="after")
    def _known_receivers(self) -> Self:
        for name in self.retraining.storm.receivers if self.retraining.storm else ():
            if name not in self.receivers:
                raise ValueError(f"retraining.storm.receivers: there is no receiver {name!r} in receivers")
        return self


def load(path: Path | None) -> Config:
    """Read the file, or the defaults without one. ValueError (pydantic's) names each bad key."""
    if path is None:
        return Config()
    # Also where it has parts of the API's types, which themselves leave alone what a newer version may know.
    return Config.model_validate(yaml.safe_load(path.read_text()) or {}, extra="forbid")
