"""The gate: what a version must show before it may take a deployment's traffic."""

from typing import Annotated

from pydantic import ConfigDict, Field

from perennial.api.base import SET, TABLES, ApiModel, Count, Digest, InputUri, MetricName, Number
from perennial.api.evaluate import MAX_LIMITS, EvaluationMetric
from perennial.api.rules import rule, validations
from perennial.api.task import MAX_COLUMNS

_Column = Annotated[str, Field(min_length=1, max_length=256)]
_Margin = Annotated[Number, Field(ge=0)]


class GateMetric(ApiModel):
    """One limit that a version must keep."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.min) || has(self.max) || has(self.noWorseThanChampionBy)",
                "give at least one limit: min, max or noWorseThanChampionBy",
            ),
            rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max", ".min"),
        )
    )

    name: MetricName = Field(description="Name of the metric on the ModelVersion.")
    min: Number | None = Field(None, description="At least this.")
    max: Number | None = Field(None, description="At most this.")
    no_worse_than_champion_by: _Margin | None = Field(
        None, description="At most this much worse than the champion's score on the same data."
    )
    lower_is_better: bool = Field(False, description="For errors and losses: worse is higher.")


class EvaluationLimit(ApiModel):
    """One limit on what is measured on the data of the evaluation."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.min) || has(self.max) || has(self.noWorseThanChampionBy) || "
                "has(self.betterThanChampionBy) || has(self.maxGap)",
                "give at least one limit: min, max, noWorseThanChampionBy, betterThanChampionBy or maxGap",
            ),
            rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max", ".min"),
            rule("!has(self.maxGap) || has(self.segment)", "goes with segment: it is between its values", ".maxGap"),
            rule(
                "!has(self.segment) || self.name != 'Latency'",
                "a request has no segment: leave it out for Latency",
                ".segment",
            ),
        )
    )

    name: EvaluationMetric = Field(
        description="Accuracy, F1 (mean over the classes), RocAuc (of two classes, by predictions that are scores), "
        "MeanAbsoluteError, RootMeanSquaredError; or Latency: milliseconds for one row, the 95th percentile."
    )
    segment: _Column | None = Field(
        None, description="A column: the limit must hold for each of its values that has enough rows."
    )
    min_rows: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        50, description="With a segment: values with fewer rows are left out."
    )
    min: Number | None = Field(None, description="At least this.")
    max: Number | None = Field(None, description="At most this.")
    no_worse_than_champion_by: _Margin | None = Field(
        None,
        description="With the confidence asked for, it is at most this much worse than the champion on the same rows.",
    )
    better_than_champion_by: _Margin | None = Field(
        None, description="It is better by at least this, and with the confidence asked for not by chance."
    )
    max_gap: _Margin | None = Field(
        None, description="With a segment: between its best and its worst value is at most this."
    )


class Evaluation(ApiModel):
    """A Job has the stable and the new revision predict the same labelled rows, before the new one gets any request,
    and compares the two row by row."""

    uri: InputUri = Field(description=f"The rows: {TABLES}: s3://, http(s):// or pvc://claim/path.")
    digest: Digest | None = Field(None, description="sha256 of what lies there; checked when it is given.")
    label: _Column = Field(description="The column that the model should have predicted.")
    columns: Annotated[list[_Column], Field(max_length=MAX_COLUMNS, json_schema_extra=SET)] = Field(
        default=[], description="The columns that are sent. Default: all but the label."
    )
    path: Annotated[str, Field(pattern="^/[A-Za-z0-9/_.:-]*$", max_length=256)] = Field(
        "/invocations", description="Where the servers take rows, by POST, as `dataframe_split`."
    )
    min_rows: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        200, description="With fewer rows that have a label nothing is decided, and the gate is not passed."
    )
    confidence: Annotated[Number, Field(ge=0.5, le=0.9999)] = Field(
        0.95, description="Of what is said in comparison with the champion, one-sided."
    )
    metrics: Annotated[list[EvaluationLimit], Field(min_length=1, max_length=MAX_LIMITS)] = Field(
        description="All must hold. A limit that cannot be computed does not hold."
    )


class Gate(ApiModel):
    """What a version must show before it may take this deployment's traffic."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "(has(self.metrics) && size(self.metrics) > 0) || has(self.evaluation)",
                "give metrics, evaluation or both",
            ),
        )
    )

    metrics: Annotated[list[GateMetric], Field(max_length=16)] = Field(
        default=[], description="All must hold of what its ModelVersion says. A limit that cannot be computed does not."
    )
    evaluation: Evaluation | None = Field(
        None, description="What it must show on rows with a label, beside the version that serves."
    )


class Compared(ApiModel):
    """What one limit of an evaluation was about. With a segment: for the value of it that holds least."""

    name: EvaluationMetric = Field(description="The metric.")
    segment: str | None = Field(None, description="The segment's column and value.")
    rows: Count = Field(description="Rows that it is of.")
    value: Number | None = Field(None, description="The new revision's.")
    champion: Number | None = Field(None, description="The stable one's.")
    at_least: Number | None = Field(
        None, description="By so much the new one is better at least, with the confidence asked for; below 0: worse."
    )
    gap: Number | None = Field(None, description="Between the best and the worst value of the segment.")


class EvaluationStatus(ApiModel):
    """What an evaluation that was passed found."""

    rows: Count = Field(description="Rows with a label.")
    digest: Digest = Field(description="sha256 of the data.")
    metrics: Annotated[list[Compared], Field(max_length=MAX_LIMITS)] = Field(
        default=[], description="What each limit was about."
    )
