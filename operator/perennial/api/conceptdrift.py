"""The trigger of concept drift: a metric of the served model is not what it was since its promotion."""

from typing import Annotated

from pydantic import ConfigDict, Field

from perennial.api.base import ApiModel, MetricName, Number
from perennial.api.detect import Detector, Direction
from perennial.api.rules import rule, validations
from perennial.sources import Every

SIGNIFICANCE, THRESHOLD, TOLERANCE = 0.002, 50.0, 0.1
_ADWIN, _OTHER = f"self.detector == '{Detector.ADWIN}'", f"self.detector == '{Detector.PAGE_HINKLEY}'"


class ConceptDriftTrigger(ApiModel):
    """Retrain when a reported metric of the served revision changed: there is no limit to know beforehand."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"!has(self.significance) || {_ADWIN}",
                "goes with ADWIN; of PageHinkley give threshold and tolerance",
                ".significance",
            ),
            rule(
                f"!has(self.threshold) || {_OTHER}", "goes with PageHinkley; of ADWIN give significance", ".threshold"
            ),
            rule(
                f"!has(self.tolerance) || {_OTHER}", "goes with PageHinkley; of ADWIN give significance", ".tolerance"
            ),
        )
    )

    metric: MetricName = Field(description="Name of a metric that is reported to the operator's ingest endpoint.")
    detector: Detector = Field(
        Detector.ADWIN,
        description="ADWIN: two parts of the time since the promotion have means that are too far apart for chance. "
        "PageHinkley: what adds up beyond a tolerance has crossed a threshold; slow changes too.",
    )
    direction: Direction = Field(
        Direction.BOTH, description="Which changes are a cause. Down: the metric fell, as accuracy should not."
    )
    significance: Annotated[Number, Field(ge=0.000_000_1, le=0.5)] | None = Field(
        None, description=f"ADWIN: the probability to see a change where there is none. Default: {SIGNIFICANCE:g}."
    )
    threshold: Annotated[Number, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="PageHinkley: what must have added up, in standard deviations of a sample. "
        f"Default: {THRESHOLD:g}.",
    )
    tolerance: Annotated[Number, Field(ge=0, le=1000)] | None = Field(
        None,
        description="PageHinkley: how much of each sample's distance does not add up, in standard deviations of a "
        f"sample. Default: {TOLERANCE:g}.",
    )
    min_samples: Annotated[int, Field(ge=30, le=1_000_000_000)] = Field(
        200, description="With fewer samples since the promotion nothing is decided."
    )
    every: Every = Field("1h", description="How often a Job looks at it.")
