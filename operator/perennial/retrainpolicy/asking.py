"""Asks for the metric of a trigger whose source is asked, and says what came of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import format_time, parse_duration
from perennial.api.modeldeployment import Promotion
from perennial.api.trigger import MetricTrigger
from perennial.questions import Question, Sampled
from perennial.retrainpolicy.look import Sight
from perennial.sources import Asked, Matter, Unanswerable

# How often a source is asked.
EVERY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Asking:
    """`sampled`: what is known, and `since`: since when, where that is less than the window. `words`: why nothing can
    be; `away`: that it could not be found out; `pending`: that there is no answer yet. `questions`: what is asked."""

    sampled: Sampled | None = None
    since: datetime | None = None
    words: str = ""
    away: bool = False
    pending: bool = False
    questions: tuple[Question, ...] = ()

    @property
    def back(self) -> str:
        """How far back it is known, in words, where that is less than the window."""
        return f" since {format_time(self.since)}" if self.since else ""


def ask(metric: MetricTrigger, source: Asked, sight: Sight, promotion: Promotion, at: datetime) -> Asking:
    """What the question of this turn is, and what is known by now."""
    window, told = parse_duration(metric.window), promotion.time + parse_duration(metric.label_delay)
    # Of what was before it served nothing is its own. The same at every look of this turn.
    interval = max(timedelta(seconds=1), min(window, at - told))
    matter = Matter(
        metric=metric.name,
        namespace=sight.namespace,
        deployment=sight.deployment,
        revision=promotion.revision,
        interval=interval,
        at=at,
        since=promotion.time,
        pods=sight.pods,
        window=window,
    )
    option = metric.source.option
    try:
        question = source.question(matter)
    except Unanswerable as error:
        return Asking(words=f"{option} cannot be asked: {error}", away=True)
    if question is None:
        return Asking(words=f"waits until a pod of {promotion.revision} is ready, to be asked")
    asked, answer = (question,), sight.answers.get(question)
    if answer is None:
        return Asking(words=f"asks {option}", pending=True, questions=asked)
    if answer.error:
        return Asking(words=f"{option} cannot be asked: {answer.error}", away=True, questions=asked)
    # The first look at a revision may be a turn after its promotion.
    short = answer.since is not None and answer.since > at - interval + EVERY
    return Asking(answer.sampled, answer.since if short else None, questions=asked)
