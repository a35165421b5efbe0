"""The ModelVersion of a finished run: what it is, and all of where it came from."""

from pydantic import ValidationError

from perennial.api.meta import (
    ANNOTATION_CAUSE,
    API_VERSION,
    LABEL_MODEL,
    LABEL_RETRAINPOLICY,
    LABEL_RUN,
    LABEL_TRAININGJOB,
)
from perennial.api.modelversion import RetrainReference
from perennial.plan import Body
from perennial.subject import read_json


def model_version(job: Body, version: int) -> Body:
    """The ModelVersion with this number for a TrainingJob whose status holds a result."""
    status, metadata = job["status"], job["metadata"]
    result = status["result"]
    origin = result["origin"]
    model = origin["model"]
    digests = result.get("inputs") or {}
    recorded: Body = {
        "model": model,
        "version": version,
        "uri": result["uri"],
        "digest": result["digest"],
        "format": result["format"],
        "metrics": result.get("metrics") or {},
        "evaluation": result.get("evaluation"),
        "image": result.get("image"),
        "parameters": origin.get("parameters") or {},
        "inputs": [one | _digest(digests.get(one["name"])) for one in origin.get("inputs") or ()],
        "storage": origin.get("storage"),
        "code": origin.get("code"),
        "champion": status.get("champion"),
        "trainingJob": {"name": metadata["name"], "uid": metadata["uid"]},
        "retrain": _retrain(metadata),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{model}-{version}",
            "namespace": metadata["namespace"],
            "labels": {LABEL_MODEL: model, LABEL_TRAININGJOB: metadata["name"]},
        },
        "spec": {field: value for field, value in recorded.items() if value not in (None, {}, [])},
    }


def origin_uid(version: Body) -> str | None:
    """The uid of the TrainingJob that a version came of; None for one that a person applied."""
    return (version["spec"].get("trainingJob") or {}).get("uid")


def _digest(digest: str | None) -> Body:
    return {"digest": digest} if digest else {}


def _retrain(metadata: Body) -> Body | None:
    """The RetrainPolicy run, as its labels and its cause say."""
    labels = metadata.get("labels") or {}
    cause = (metadata.get("annotations") or {}).get(ANNOTATION_CAUSE)
    said = {"policy": labels.get(LABEL_RETRAINPOLICY), "run": labels.get(LABEL_RUN), "cause": read_json(cause or "")}
    try:
        found = RetrainReference.model_validate(said)
    except ValidationError:
        # Anybody may write them, and a version that is refused for them would hold up all that come after it.
        return None
    return found.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
