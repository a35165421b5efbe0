"""Sources that are asked for a metric whenever somebody looks at it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perennial.api.base import ApiModel, Body
from perennial.questions import Question


class Unanswerable(Exception):
    """The question cannot be put; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Matter:
    """What a question is about: a metric of a revision, its ready pods, when it is asked, how often, and since when.

    window: how far back what is only seen to grow is to be told; None: since the question before. runtime: the serving
    runtime that the revision was made of, if one is known; runtimes: what can be asked of each.
    """

    metric: str
    namespace: str
    deployment: str
    revision: str
    interval: timedelta
    at: datetime
    since: datetime
    runtime: str | None = None
    runtimes: Mapping[str, Mapping[str, "Asked"]] = field(default_factory=dict)
    pods: Sequence[Body] = ()
    window: timedelta | None = None


class Asked(ApiModel, ABC):
    """A source that is asked. The answers are samples of the time since the question before."""

    @abstractmethod
    def question(self, matter: Matter) -> Question | None:
        """What is asked; None when there is nobody to ask. Unanswerable when it cannot be."""
