"""The `job` source: a Job of somebody's own measures a revision, or says itself whether it is good."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import ApiModel, Duration
from perennial.api.rules import rule, validations
from perennial.api.verbatim import RunTemplate


class Job(ApiModel):
    """A Job that runs at each look. The first of its containers measures, or decides: see docs/modeldeployment.md."""

    template: RunTemplate = Field(
        description="A pod template. PERENNIAL_URL, PERENNIAL_STABLE_URL, PERENNIAL_REVISION and the like are in the "
        "environment of its containers."
    )
    active_deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        600, description="It may take this long; a Job that takes longer gives no answer."
    )


Every = Annotated[
    Duration,
    Field(
        json_schema_extra=validations(
            rule("duration(self) >= duration('1m') && duration(self) <= duration('720h')", "must be 1m to 720h")
        )
    ),
]


class Evaluator(Job):
    """A Job that measures what is served, now and then. The first of its containers leaves one sample: see
    docs/retrainpolicy.md."""

    every: Every = Field("1h", description="How often it is measured.")
