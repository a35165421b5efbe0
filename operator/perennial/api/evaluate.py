"""What operator and agent say to each other of an evaluation: of the rows that two servers predict."""

from enum import StrEnum

from pydantic import Field, FiniteFloat

from perennial.api.task import MAX_COLUMNS, Artifact, Digest, Failure, Message, Task, parse

MAX_LIMITS = 16


class EvaluationMetric(StrEnum):
    """What can be measured of predictions beside what should have been predicted."""

    ACCURACY = "Accuracy"
    F1 = "F1"
    ROC_AUC = "RocAuc"
    MEAN_ABSOLUTE_ERROR = "MeanAbsoluteError"
    ROOT_MEAN_SQUARED_ERROR = "RootMeanSquaredError"
    LATENCY = "Latency"


class Limit(Task):
    """One limit of an evaluation, as `EvaluationLimit` of the API says."""

    name: EvaluationMetric
    segment: str | None = None
    min_rows: int = Field(1, ge=1)
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    no_worse_than_champion_by: FiniteFloat | None = None
    better_than_champion_by: FiniteFloat | None = None
    max_gap: FiniteFloat | None = None


class EvaluateTask(Task):
    """Have two servers predict the same rows, by their URLs, and compare both with the label, row by row."""

    rows: Artifact
    stable: str
    incoming: str
    label: str
    columns: tuple[str, ...] = Field((), max_length=MAX_COLUMNS)
    min_rows: int = Field(1, ge=1)
    confidence: FiniteFloat = Field(ge=0.5, le=0.9999)
    limits: tuple[Limit, ...] = Field(min_length=1, max_length=MAX_LIMITS)


class Measured(Message):
    """What one limit of an evaluation is about.

    missed: the fields of the limit that do not hold, `minRows` where there is too little to say so. With a segment: for
    the value of it that holds least, which is in `segment`. at_least: by so much the new revision is better, with the
    confidence asked for; below 0 it may be worse.
    """

    missed: tuple[str, ...] = ()
    segment: str | None = Field(None, max_length=32)
    rows: int = Field(0, ge=0)
    value: FiniteFloat | None = None
    champion: FiniteFloat | None = None
    at_least: FiniteFloat | None = None
    gap: FiniteFloat | None = None


class Evaluated(Message):
    """Answer of `evaluate`: of `rows` with a label, what each limit is about, in the order of the task; nothing where
    they are too few, or the new revision does not answer, and `failure` says how."""

    rows: int = Field(ge=0)
    digest: Digest
    failure: str = Field("", max_length=512)
    limits: tuple[Measured, ...] = Field((), max_length=MAX_LIMITS)


def parse_evaluated(text: str | None) -> Evaluated | Failure | None:
    """What `evaluate` left. Never raises."""
    return parse(text, Evaluated)
