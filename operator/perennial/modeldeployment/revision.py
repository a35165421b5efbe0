"""Which files a revision serves, and its name: what the user said, hashed; replicas and presets left out."""

from dataclasses import dataclass
from typing import Any, Self

from perennial.api.base import digest_of
from perennial.api.modeldeployment import ModelDeploymentSpec, Promotion
from perennial.api.modelversion import ModelVersionSpec


@dataclass(frozen=True, slots=True)
class Model:
    """The files that a revision serves. `name` and `version` are None for files given by uri."""

    name: str | None
    version: int | None
    uri: str
    digest: str
    format: str
    storage: str | None

    @classmethod
    def of_version(cls, version: ModelVersionSpec) -> Self:
        storage = version.storage.secret_name if version.storage else None
        return cls(version.model, version.version, version.uri, version.digest, version.format, storage)

    @classmethod
    def of_files(cls, uri: str, digest: str | None, format_: str | None) -> Self:
        return cls(None, None, uri, digest or "", format_ or "", None)

    @classmethod
    def of_promotion(cls, record: Promotion) -> Self:
        return cls(record.model, record.version, record.uri, record.digest, record.format, record.storage)

    def storage_for(self, spec: ModelDeploymentSpec) -> str | None:
        """The Secret for the model's store; None means the namespace's default, if there is one."""
        return spec.storage.secret_name if spec.storage else self.storage


def revision_of(deployment: str, spec: ModelDeploymentSpec, model: Model) -> str:
    """The name of the revision that serves this model as the spec says now, and so of its Deployment.

    What the operator's presets add is left out on purpose: a new preset must not roll what runs.
    """
    said: dict[str, Any] = {
        "model": [model.name, model.version, model.uri, model.digest, model.format],
        "storage": model.storage_for(spec),
        "runtime": spec.runtime,
        "template": spec.template,
    }
    if spec.request_log:
        said["requestLog"] = spec.request_log.told()
    return f"{deployment}-{digest_of(said)}"
