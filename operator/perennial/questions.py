"""What is asked of others than the Kubernetes API, and what they answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sampled:
    """Samples of one group: how many, their mean, the least and the greatest."""

    count: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known now; None when there is nothing. `error`: why it could not be found out. `since`: what was before
    that is not known."""

    sampled: Sampled | None = None
    error: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """All series of a Prometheus counter whose labels match, and of those in `plus`, summed. A label's value may have
    `*` for anything."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    plus: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that are summed."""
        return (self.metric, *self.plus)


@dataclass(frozen=True, slots=True)
class Scrape:
    """Which part of `denominator` is `numerator`, by how much both grew on the pages of some pods.

    pages: the uid and the URL of each. at: one moment is one question, however often it is asked. since: of what was
    asked before, only what belongs to the same beginning counts. mean: the numerator is no part, but a sum over what
    the denominator counts, and what is wanted is so many times the mean. window: how far back; without it, since the
    last time. of: whose pages they are; others may be asked for the next time.
    """

    at: datetime
    since: datetime
    pages: tuple[tuple[str, str], ...]
    numerator: Counter
    denominator: Counter
    mean: float | None = None
    window: timedelta | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """The value of a PromQL expression now. server: its name in the operator's configuration. samples: an expression of
    how many samples that is of; without it, it is one."""

    at: datetime
    server: str
    query: str
    samples: str = ""


@dataclass(frozen=True, slots=True)
class Runs:
    """A metric of the runs of an MLflow experiment since a time. server: its name in the operator's configuration."""

    at: datetime
    since: datetime
    server: str
    experiment: str
    filter: str
    metric: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a webhook says of a metric of a revision since it gets requests. webhook: its name in the operator's
    configuration."""

    at: datetime
    since: datetime
    webhook: str
    namespace: str
    deployment: str
    revision: str
    metric: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Whether the API server would take an object: its error is in its words. body: the object, as JSON."""

    body: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a receiver is to be told; it is answered without an error once the receiver has taken it.

    at: the moment of this try. receiver: its name in the operator's configuration. id: the same for the same event.
    summary: it in one line. resolves: whether it is good news, which ends what was told before of this object.
    """

    at: datetime
    receiver: str
    id: str
    kind: str
    namespace: str
    name: str
    reason: str
    severity: Literal["info", "warning", "error"]
    resolves: bool
    time: datetime
    summary: str
    details: tuple[tuple[str, str], ...] = ()


Question = Scrape | Query | Runs | Call | Rehearsal | Notice
