"""Jobs that look at something for a trigger: one at a time, each at its turn, and what became of it.

The time of the next look is in the status before its Job is made, and the Job's name follows from it: neither a crash
nor a second look makes a second one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from perennial.api.base import digest_of, format_time
from perennial.api.meta import LABEL_CHECK, LABEL_OWNED, LABEL_RETRAINPOLICY
from perennial.api.resources import JOBS, RETRAINPOLICIES
from perennial.api.retrainpolicy import TriggerState, TriggerStatus
from perennial.api.task import Failure
from perennial.errands import End, OwnJob, end_of, ends, found, given_up_at
from perennial.owners import controller_reference
from perennial.plan import Body, Create
from perennial.podwords import cut
from perennial.retrainpolicy.look import Look, Sight, turn

_WORDS = 300
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visit:
    """`due`: when the next look is, or was that is under way. `end` and `own`: how its Job ended, once it did.
    `create`: the Job that is wanted now. `words`: what is going on, or wrong; `refused`: that it is the latter.
    """

    due: datetime
    own: OwnJob | None = None
    end: End | None = None
    create: Create | None = None
    words: str = ""
    refused: bool = False

    @property
    def idle(self) -> bool:
        """Whether it is not time for a look."""
        return self.end is None and not self.words

    @property
    def wake(self) -> datetime | None:
        """When time alone brings something new."""
        return given_up_at(self.own) if self.own and self.end is None else self.due


def visit(
    sight: Sight, trigger: str, rule: str, told: object, every: timedelta, container: str, make: Callable[[str], Body]
) -> Visit:
    """Where the looks of a trigger stand. `rule`: with another one they begin anew; `told`: what else the Job is made
    of; `container`: which of its containers answers; `make`: the Job of a name."""
    now = sight.now.replace(microsecond=0)
    before = sight.before if sight.before and sight.before.rule == rule else None
    due = before.next_look_time if before else None
    if due is None:
        return Visit(now, words="is looked at for the first time")
    if now < due:
        return Visit(due)
    name = f"{sight.policy}-look-{digest_of([trigger, rule, told, format_time(due)])}"
    own = found(sight.jobs, name)
    if own is None:
        if sight.suspended:
            return Visit(due, words="nothing is looked at while spec.suspend is true")
        refusal = sight.refusal
        refused = refusal is not None and (refusal.resource, refusal.name) == (JOBS, name)
        words = f"its Job is refused: {refusal.message}" if refused and refusal else "its Job is made"
        return Visit(due, create=Create(make(name), strict=True), words=words, refused=refused)
    end = end_of(own, container, now)
    if end is None:
        return Visit(due, own, words=f"Job {own.name} looks since {own.job['metadata'].get('creationTimestamp')}")
    return Visit(turn(f"{sight.namespace}/{sight.policy}/{trigger}", now, every) + every, own, end)


def told(went: Visit, container: str, parse: Callable[[str | None], T | Failure | None]) -> T | Failure | None:
    """What the agent in this container found, of several attempts the last that found something; or why none did.
    None while the Job runs."""
    if went.own is None or went.end is None:
        return None
    failure = Failure(reason="NoAnswer", message=cut(went.end.error, _WORDS))
    for ended in reversed(ends(went.own, container)):
        said = parse(ended.get("message"))
        if isinstance(said, Failure):
            failure = said if failure.reason == "NoAnswer" else failure
        elif said is not None:
            return said
    return failure


def follow(
    sight: Sight,
    row: TriggerStatus,
    went: Visit,
    answer: object,
    known: Mapping[str, Any],
    cannot: str,
    judge: Callable[[TriggerStatus], Look],
) -> Look:
    """What the looks of a trigger lead to. `known`: fields of its row that tell what was seen last, None before the
    first look; `cannot`: what is said of a look that failed; `judge`: what follows from a row in which they are."""
    before, wakes = sight.before, (went.wake,) if went.wake and went.wake > sight.now else ()
    row = row.model_copy(update={"next_look_time": went.due})
    if before and before.state is TriggerState.UNAVAILABLE and answer is None and not went.refused:
        # Until the next look has ended.
        return Look(before.model_copy(update={"next_look_time": went.due}), wakes=wakes, create=went.create)
    row = row.model_copy(update=known)
    if isinstance(answer, Failure) or went.refused:
        words = f"{cannot}: {answer.message if isinstance(answer, Failure) else went.words}"
        away = {"state": TriggerState.UNAVAILABLE, "message": words}
        return Look(row.model_copy(update=away), wakes=wakes, create=went.create)
    if None in known.values():
        words = went.words or f"is looked at, at {format_time(went.due)}"
        return Look(row.model_copy(update={"message": words}), wakes=wakes, create=went.create)
    found = judge(row)
    return replace(found, wakes=(*found.wakes, *wakes), create=went.create)


def beside(sight: Sight, name: str) -> Body:
    """The metadata of a Job of this policy, and no label of its deployment's servers: a Service would select them."""
    return {
        "name": name,
        "namespace": sight.namespace,
        "ownerReferences": [controller_reference(RETRAINPOLICIES, sight.policy, sight.uid)],
        "labels": {LABEL_OWNED: "true", LABEL_RETRAINPOLICY: sight.policy},
    }


def labels(sight: Sight) -> dict[str, str]:
    """Those of its pod. By one of them a deployment that says who may call it lets it in."""
    return {LABEL_OWNED: "true", LABEL_RETRAINPOLICY: sight.policy, LABEL_CHECK: sight.deployment}
