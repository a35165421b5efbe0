"""What operator and agent say to each other: the task in an environment variable, the answer as termination message.

Pure, and apart from the rest of the API, so that the agent's image needs nothing of the operator.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

MAX_MESSAGE_BYTES = 3072  # the kubelet cuts one container's message at 4 KiB, and the messages of a whole pod at 12
MAX_FAILURE_LENGTH = 1024  # in characters
MAX_METRICS = 32
MAX_INPUTS = 32
MAX_COLUMNS = 256  # that a drift trigger may name
MAX_SHOWN_COLUMNS = 5  # that it tells of
METRIC_NAME = r"^[A-Za-z_][A-Za-z0-9_.:-]{0,62}$"

TASK_ENV = "PERENNIAL_TASK"  # JSON of one of the tasks below
ATTEMPT_ENV = "PERENNIAL_ATTEMPT"  # the pod's name


_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "": 1}


class Reason(StrEnum):
    """Why a step of the agent failed."""

    INPUT_NOT_FOUND = "InputNotFound"
    INPUT_INVALID = (
        "InputInvalid"  # drift, evaluate: what is to be compared is no table, or not of the kind that is needed
    )
    DIGEST_MISMATCH = "DigestMismatch"
    STORE_UNAVAILABLE = "StoreUnavailable"
    ACCESS_DENIED = "AccessDenied"
    NO_SPACE = "NoSpace"  # the disk, the emptyDir or the claim is full
    INVALID_URI = "InvalidUri"
    NOT_FOUND = "NotFound"  # fetch: no such model; recover: nothing was published
    INTERRUPTED = "Interrupted"
    TRAINING_FAILED = "TrainingFailed"
    OUTPUT_EMPTY = "OutputEmpty"
    OUTPUT_INVALID = "OutputInvalid"
    METRICS_INVALID = "MetricsInvalid"
    REQUESTS_INVALID = (
        "RequestsInvalid"  # replay: there is no request, or one is no JSON; evaluate: the stable one refuses
    )
    SERVER_UNAVAILABLE = "ServerUnavailable"  # replay: a server does not answer at all
    MESSAGE_INVALID = "MessageInvalid"  # meant as a result, but a field is missing or wrong (output.mode External)
    AGENT_FAILED = "AgentFailed"  # a fault of ours, or a task that the agent does not understand


def size_of(text: str) -> int:
    """Bytes in `10Gi`. ValueError otherwise."""
    found = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi|Ti|)", text)
    if not found:
        raise ValueError(f"{text!r} is no size such as 10Gi")
    return int(found[1]) * _UNITS[found[2]]


class Message(BaseModel):
    """What is said in JSON."""

    # What was wrong may be a secret.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    def to_json(self) -> str:
        """Compact JSON, camelCase, without what is not set."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class Task(Message):
    """What the agent is told to do."""

    model_config = ConfigDict(extra="forbid")


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
MetricName = Annotated[str, Field(pattern=METRIC_NAME)]


class Artifact(Task):
    """One object, or all objects below a prefix, in a store (`s3`, `http(s)` or `pvc`)."""

    name: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253)
    uri: str
    digest: Digest | None = None


class PrepareTask(Task):
    """Lay out /perennial before the training starts."""

    inputs: tuple[Artifact, ...] = Field((), max_length=MAX_INPUTS)
    champion: Artifact | None = None
    parameters: dict[str, JsonValue] = {}
    # Where the model will be published. Written to once: a store that refuses must be known before hours of training.
    destination: str | None = None


class PublishTask(Task):
    """Wait for the training's end and publish its output below `<destination>/<attempt>`."""

    destination: str
    format: str | None = None
    publish_deadline_seconds: int = Field(ge=0)


class FetchTask(Task):
    """Put a model's files into the folder `target`, which is emptied first. cache: URL of the node's cache."""

    model: Artifact
    target: str
    cache: str | None = None


class ReplayTask(Task):
    """Post each line of a file to two servers, by their URLs, and compare what they answer."""

    requests: Artifact
    stable: str
    incoming: str


class LookTask(Task):
    """See what lies at a URI, without reading it; or where a Git repository's reference points:
    `git+https://host/repository@reference`."""

    uri: str


class DriftMethod(StrEnum):
    """How the distance of two samples of a column is measured."""

    PSI = "PSI"
    KOLMOGOROV_SMIRNOV = "KolmogorovSmirnov"
    CHI_SQUARED = "ChiSquared"
    JENSEN_SHANNON = "JensenShannon"
    WASSERSTEIN = "Wasserstein"


class DriftTask(Task):
    """Compare tables, column by column.

    within_seconds: the current data is a log of requests, of which only the last counts. limit: of a distance; of
    tests, the probability by chance below which a column has drifted. With fewer than `min_rows` nothing is compared.
    report: below which URI the report is written; title: of its page.
    """

    reference: Artifact
    current: Artifact
    within_seconds: int | None = Field(None, ge=1)
    columns: tuple[str, ...] = Field((), max_length=MAX_COLUMNS)
    method: DriftMethod
    limit: FiniteFloat
    min_rows: int = Field(1, ge=1)
    report: str | None = None
    title: str = ""


class ShipTask(Task):
    """Take what a server writes to `folder` to `uri`, until told to stop, and remove there what is older than
    `keep_seconds`."""

    folder: str
    uri: str
    keep_seconds: int = Field(ge=0)


class RecoverTask(Task):
    """Find what was published last below `destination`, when the agent's own message was lost."""

    destination: str


class Prepared(Message):
    """Answer of `prepare`: digests of the inputs; of one on a claim only if the task gave one. Should they not all fit
    into a message, those that the task gave are left out first."""

    inputs: dict[str, Digest] = {}


class Result(Message):
    """Answer of `publish` and `recover`: a model as it lies in its store."""

    uri: str = Field(min_length=1, max_length=1024)
    digest: Digest
    format: str = Field("files", min_length=1, max_length=63)
    metrics: dict[MetricName, FiniteFloat] = Field({}, max_length=MAX_METRICS)
    evaluation: str | None = Field(None, max_length=253)


class Replayed(Message):
    """Answer of `replay`: how far the answers of the two servers are apart.

    requests: that both answered. skipped: that the stable one did not answer with 200. failed: that only the new one
    did not, or not with predictions of the same shape; failure: the first of them in words. max_difference: of two
    numbers at the same place, and 1 for anything else that differs, the greatest of all requests; mean_difference:
    the mean of each request's greatest. worst: the line of the greatest.
    """

    requests: int = Field(ge=0)
    skipped: int = Field(0, ge=0)
    failed: int = Field(0, ge=0)
    failure: str = Field("", max_length=512)
    max_difference: FiniteFloat | None = None
    mean_difference: FiniteFloat | None = None
    worst: int | None = None


class Looked(Message):
    """Answer of `look`: how many objects lie there, of how many bytes, and a digest that changes when one of them does.
    revision: the commit of a Git reference."""

    objects: int = Field(ge=0)
    bytes: int = Field(ge=0)
    digest: Digest
    revision: str = Field("", pattern=r"^([0-9a-f]{40,64})?$")


class DriftedColumn(Message):
    """How far one column is, or of a test the probability to be as far by chance."""

    name: str = Field(max_length=63)
    score: FiniteFloat


class Drifted(Message):
    """Answer of `drift`: how many of the columns have drifted, the farthest of all, and where the report lies."""

    rows: int = Field(ge=0)
    reference_rows: int = Field(ge=0)
    columns: int = Field(ge=0)
    drifted: int = Field(ge=0)
    farthest: tuple[DriftedColumn, ...] = Field((), max_length=MAX_SHOWN_COLUMNS)
    report: str | None = Field(None, max_length=1024)


class Failure(Message):
    """Answer of every step that failed, wrapped in `{"error": ...}`; the exit code is then not 0."""

    reason: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")
    message: str = ""

    def to_json(self) -> str:
        """As the container leaves it, the message cut so that every pod has room for it."""
        kept = self.message
        while len(text := self._wrapped(kept)) > MAX_FAILURE_LENGTH:
            kept = kept.removesuffix("…")[: len(kept) * 9 // 10] + "…"
        return text

    def _wrapped(self, message: str) -> str:
        return '{"error":' + self.model_copy(update={"message": message}).model_dump_json() + "}"


M = TypeVar("M", bound=Message)


def parse_result(text: str | None) -> Result | Failure | None:
    """What `publish`, `recover`, or a training with output.mode External left. None: nothing meant as an answer.
    Never raises."""
    return parse(text, Result)


def parse_prepared(text: str | None) -> Prepared | Failure | None:
    """What `prepare` left. Never raises."""
    return parse(text, Prepared)


def parse_replayed(text: str | None) -> Replayed | Failure | None:
    """What `replay` left. Never raises."""
    return parse(text, Replayed)


def parse_looked(text: str | None) -> Looked | Failure | None:
    """What `look` left. Never raises."""
    return parse(text, Looked)


def parse_drifted(text: str | None) -> Drifted | Failure | None:
    """What `drift` left. Never raises."""
    return parse(text, Drifted)


def parse(text: str | None, kind: type[M]) -> M | Failure | None:
    """An answer of this kind, or of a step that failed. None: nothing meant as an answer. Never raises."""
    try:
        body: Any = from_json(text or "", allow_inf_nan=True)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    try:
        return Failure.model_validate(body["error"]) if "error" in body else kind.model_validate(body)
    except ValidationError as error:
        # A log line in JSON is no answer; what has the fields of one is, and its author wants to know what is wrong.
        if not body.keys() & {"uri", "digest", "inputs", "requests"}:
            return None
        words = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)[:3])
        return Failure(
            reason=Reason.MESSAGE_INVALID, message="the termination message is not a result: " + "; ".join(words)
        )
