"""Looks at a metric trigger whose source is a Job: it measures the served revision, now and then.

The last sample stands in the status, and is the value until the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from perennial.api.base import format_time, parse_duration
from perennial.api.modeldeployment import Promotion
from perennial.api.resources import JOBS
from perennial.api.retrainpolicy import TriggerStatus
from perennial.api.trigger import MetricTrigger, Trigger
from perennial.errands import answering, rehearsal, sampled, spec_of
from perennial.plan import Body, Create
from perennial.questions import Answer, Rehearsal
from perennial.retrainpolicy.look import Sight
from perennial.retrainpolicy.visit import Visit, beside, labels, visit
from perennial.sources import Evaluator


@dataclass(frozen=True, slots=True)
class Measured:
    """`value`: of `samples`, measured at `time`; None while nothing is known of the served revision. `words`: what is
    going on; `away`: that it could not be measured. `due`: the next look; `wake`: when to look again; `idle`: that it
    is not time for a look."""

    due: datetime | None
    value: float | None = None
    samples: int = 0
    time: datetime | None = None
    words: str = ""
    away: bool = False
    create: Create | None = None
    wake: datetime | None = None
    idle: bool = False


def measured(trigger: Trigger, metric: MetricTrigger, job: Evaluator, rule: str, sight: Sight) -> Measured:
    """What is known of the metric."""
    promotion, before = sight.promotion, sight.before
    assert promotion
    if before and (before.rule != rule or before.look_revision != promotion.revision):
        # With a new revision it begins anew: nobody waits a day to know what that is worth.
        before = None
    known = before if before and before.last_look_time and before.last_look_time >= promotion.time else None
    if sight.serving.rollout is not None:
        # The Service may lead to both revisions.
        due = before.next_look_time if before else None
        words = "is measured once the rollout under way has ended"
        return _known(known, due, None) if known else Measured(due, words=words)

    def make(name: str) -> Body:
        return _job(job, sight, name, _environment(metric, sight, promotion))

    of = [promotion.revision, job.told()]
    every, container = parse_duration(job.every), answering(job)
    seen = visit(replace(sight, before=before), trigger.name, rule, of, every, container, make)
    if seen.own and seen.end:
        return _told(sampled(seen.own, seen.end), seen, sight)
    if known and not seen.refused:
        return _known(known, seen.due, seen)
    return Measured(seen.due, words=seen.words, away=seen.refused, create=seen.create, wake=seen.wake, idle=seen.idle)


def _known(row: TriggerStatus, due: datetime | None, seen: Visit | None) -> Measured:
    """The value of the last look."""
    create, wake = (seen.create, seen.wake) if seen else (None, None)
    return Measured(due, row.value, row.samples or 0, row.last_look_time, create=create, wake=wake)


def rehearsed(job: Evaluator, sight: Sight) -> Rehearsal:
    """Whether the API server would take its Jobs: that is to be known before the first is due."""
    return rehearsal(_job(job, sight, f"{sight.policy}-look-rehearsal", {}))


def _job(job: Evaluator, sight: Sight, name: str, env: Mapping[str, str]) -> Body:
    spec = spec_of(job, env, labels(sight), sight.config.defaults.pod_security)
    return {"apiVersion": JOBS.api_version, "kind": JOBS.kind, "metadata": beside(sight, name), "spec": spec}


def _told(answer: Answer, seen: Visit, sight: Sight) -> Measured:
    if answer.error:
        return Measured(seen.due, words=answer.error, away=True, wake=seen.wake)
    if answer.sampled is None:
        return Measured(seen.due, time=sight.now, wake=seen.wake)
    return Measured(seen.due, answer.sampled.mean, answer.sampled.count, sight.now, wake=seen.wake)


def _environment(metric: MetricTrigger, sight: Sight, promotion: Promotion) -> dict[str, str]:
    return {
        "PERENNIAL_DEPLOYMENT": sight.deployment,
        "PERENNIAL_NAMESPACE": sight.namespace,
        "PERENNIAL_REVISION": promotion.revision,
        "PERENNIAL_MODEL_VERSION": "" if promotion.version is None else str(promotion.version),
        "PERENNIAL_MODEL_URI": promotion.uri,
        "PERENNIAL_METRIC": metric.name,
        "PERENNIAL_SINCE": format_time(promotion.time),
        "PERENNIAL_URL": f"http://{sight.deployment}.{sight.namespace}.svc",
    }
