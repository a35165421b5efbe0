"""What operator and agent say to each other of a metric that may have changed."""

from enum import StrEnum

from pydantic import Field, FiniteFloat

from perennial.api.task import Failure, Message, Task, parse

# As many spans as a MetricSeries keeps of one metric.
MAX_SPANS = 256


class Detector(StrEnum):
    """How a change is recognised."""

    ADWIN = "ADWIN"
    PAGE_HINKLEY = "PageHinkley"


class Direction(StrEnum):
    """Which changes count."""

    DOWN = "Down"
    UP = "Up"
    BOTH = "Both"


class Span(Task):
    """What was measured in a span of time that begins at `start`, in seconds since 1970: how often, and the mean."""

    start: int
    count: int = Field(ge=1)
    mean: FiniteFloat


class DetectTask(Task):
    """Say when a metric changed last, of which these spans are known, oldest first.

    significance: ADWIN's delta, the probability to see a change where there is none. threshold, tolerance: those of
    Page and Hinkley's test, in standard deviations of a sample.
    """

    spans: tuple[Span, ...] = Field(max_length=MAX_SPANS)
    detector: Detector
    significance: FiniteFloat
    threshold: FiniteFloat
    tolerance: FiniteFloat


class Change(Message):
    """One change: in the span that begins at `start`, from the mean before it (since the change before) to the mean
    since."""

    start: int
    before: FiniteFloat
    after: FiniteFloat


class Detected(Message):
    """Answer of `detect`: in so many samples, how many changes there were, and the last of them."""

    samples: int = Field(ge=0)
    changes: int = Field(ge=0)
    last: Change | None = None


def parse_detected(text: str | None) -> Detected | Failure | None:
    """What `detect` left. Never raises."""
    return parse(text, Detected)
