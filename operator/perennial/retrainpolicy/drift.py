"""Looks at a drift trigger: a Job compares what the model sees now with what it was trained on, column by column.

The last comparison stands in the status, and is what is known until the next.
"""

from dataclasses import replace
from datetime import datetime

from perennial.api.base import parse_duration
from perennial.api.drift import TESTS, DriftTrigger
from perennial.api.modeldeployment import Promotion
from perennial.api.requestlog import place_of
from perennial.api.retrainpolicy import Cause, ColumnSeen, DriftSeen, TriggerState, TriggerStatus
from perennial.api.task import Artifact, Drifted, DriftTask, parse_drifted
from perennial.api.trigger import Trigger
from perennial.jobs import agent_job
from perennial.plan import Body
from perennial.pods import agent_container, claim_mounts, claim_of
from perennial.retrainpolicy import crossing
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.visit import beside, follow, labels, told, visit

_CONTAINER = "drift"
_LIMITS: Body = {"backoffLimit": 1, "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 600}


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a drift trigger."""
    drift, promotion = trigger.drift, sight.promotion
    assert drift
    rule = describe(drift)
    row = TriggerStatus(name=trigger.name, state=TriggerState.WAITING, rule=rule)
    if promotion is None:
        return Look(row.model_copy(update={"message": "waits until the deployment serves a model"}))
    reference, current = _reference(drift, promotion, sight), _current(drift, sight)
    if isinstance(reference, str) or isinstance(current, str):
        words = reference if isinstance(reference, str) else current
        return Look(row.model_copy(update={"state": TriggerState.UNAVAILABLE, "message": words}))
    if sight.before and (sight.before.rule != rule or sight.before.look_revision != promotion.revision):
        # A new revision has its own reference, and what an earlier one saw is none of its matter.
        sight = replace(sight, before=None)

    def make(name: str) -> Body:
        return _job(trigger, drift, reference, current, sight, name)

    of = [promotion.revision, drift.told(), reference.model_dump(mode="json"), current.model_dump(mode="json")]
    every = parse_duration(drift.every)
    went = visit(sight, trigger.name, rule, of, every, _CONTAINER, make)
    row = row.model_copy(update={"look_revision": promotion.revision})
    answer = told(went, _CONTAINER, parse_drifted)
    seen = sight.before.drift if sight.before else None
    if isinstance(answer, Drifted):
        seen = _seen(answer, sight.now)

    def judge(row: TriggerStatus) -> Look:
        return _found(trigger, drift, promotion, row, sight)

    return follow(sight, row, went, answer, {"drift": seen}, "cannot be compared", judge)


def describe(drift: DriftTrigger) -> str:
    """The rule in words; another text is another rule."""
    reference = drift.reference.uri or f"input {drift.reference.input}"
    current = f"requests of {drift.current.requests.within}" if drift.current.requests else drift.current.uri
    columns = f" {', '.join(drift.columns)}" if drift.columns else ""
    held = f" for {drift.for_}" if parse_duration(drift.for_) else ""
    return (
        f"{current} against {reference}, every {drift.every}: at least {drift.at_least} of its columns"
        f"{columns} {_limit(drift)}{held}, at least {drift.min_samples} rows"
    )


def _limit(drift: DriftTrigger) -> str:
    by = "p below" if drift.method in TESTS else "above"
    return f"{drift.method} {by} {drift.limit:g}"


def _reference(drift: DriftTrigger, promotion: Promotion, sight: Sight) -> Artifact | str:
    """What to compare with; or, in words, why there is nothing."""
    if drift.reference.uri:
        return Artifact(name="reference", uri=drift.reference.uri)
    wanted = drift.reference.input
    for version in sight.versions:
        spec, called = version["spec"], version["metadata"]["name"]
        if (spec["model"], spec["version"]) == (promotion.model, promotion.version):
            inputs = {one["name"]: one for one in spec.get("inputs") or ()}
            if found := inputs.get(wanted):
                return Artifact(name="reference", uri=found["uri"], digest=found.get("digest"))
            has = f"it has {', '.join(sorted(inputs))}" if inputs else "it has none"
            return f"drift.reference.input: ModelVersion {called} was trained on no input {wanted}: {has}"
    return "drift.reference.input: what is served is no ModelVersion, or one that is gone: give drift.reference.uri"


def _current(drift: DriftTrigger, sight: Sight) -> Artifact | str:
    """What to compare; or, in words, why there is nothing."""
    if drift.current.uri:
        return Artifact(name="current", uri=drift.current.uri)
    if sight.request_log is None:
        return "drift.current.requests: the deployment keeps no log of its requests: give it spec.requestLog"
    return Artifact(name="current", uri=place_of(sight.request_log, sight.namespace, sight.deployment))


def _found(trigger: Trigger, drift: DriftTrigger, promotion: Promotion, row: TriggerStatus, sight: Sight) -> Look:
    """What follows from a comparison."""
    seen = row.drift
    assert seen
    row = row.model_copy(update={"last_look_time": seen.time, "value": float(seen.drifted), "samples": seen.rows})
    if seen.rows < drift.min_samples:
        words = f"{seen.rows} of at least {drift.min_samples} rows"
        return Look(row.model_copy(update={"message": words, "value": None}))
    words = _words(drift, seen)
    if seen.drifted < drift.at_least:
        return Look(row.model_copy(update={"state": TriggerState.OK, "message": words}))
    begun = crossing.since(sight.before, row.rule, promotion.time) or seen.time
    enough, now = begun + parse_duration(drift.for_), sight.now.replace(microsecond=0)
    row = row.model_copy(update={"crossed_since": begun, "state": TriggerState.CROSSED, "message": words})
    if now < enough:
        return Look(row.model_copy(update={"message": f"{words}; not yet for {drift.for_}"}), wakes=(enough,))
    firing = row.model_copy(update={"state": TriggerState.FIRING})
    if answer := crossing.answer(trigger.name, begun, sight.runs):
        return Look(firing.model_copy(update={"message": f"{words}; run {answer.number} deals with it"}))
    cause = Cause(
        trigger=trigger.name,
        type="Drift",
        message=words,
        value=row.value,
        limit=float(drift.at_least),
        samples=seen.rows,
        revision=promotion.revision,
        drift=seen,
    )
    return Look(row, cause, begun, started=firing)


def _words(drift: DriftTrigger, seen: DriftSeen) -> str:
    farthest = ", ".join(f"{one.name} {one.score:.3g}" for one in seen.farthest)
    return f"{seen.drifted} of {seen.columns} columns drifted ({_limit(drift)}); farthest: {farthest}"


def _seen(answer: Drifted, now: datetime) -> DriftSeen:
    return DriftSeen(
        time=now.replace(microsecond=0),
        rows=answer.rows,
        reference_rows=answer.reference_rows,
        columns=answer.columns,
        drifted=answer.drifted,
        farthest=[ColumnSeen(name=one.name, score=one.score) for one in answer.farthest],
        report=answer.report,
    )


def _job(
    trigger: Trigger, drift: DriftTrigger, reference: Artifact, current: Artifact, sight: Sight, name: str
) -> Body:
    requests, log = drift.current.requests, sight.request_log
    storage = drift.storage or (log.storage if requests and log else None)
    below = drift.report or sight.config.defaults.output
    place = f"{sight.namespace}/{sight.deployment}/drift/{sight.policy}/{trigger.name}"
    report = f"{below.rstrip('/')}/{place}" if below else None
    task = DriftTask(
        reference=reference,
        current=current,
        within_seconds=int(parse_duration(requests.within).total_seconds()) if requests else None,
        columns=tuple(drift.columns),
        method=drift.method,
        limit=drift.limit,
        min_rows=drift.min_samples,
        report=report,
        title=f"Drift of {sight.namespace}/{sight.deployment}: {trigger.name}",
    )
    read = {claim for uri in (reference.uri, current.uri) if (claim := claim_of(uri))}
    written = {claim} if (claim := claim_of(report or "")) else set()
    mounts = [*claim_mounts(written, read_only=False), *claim_mounts(read - written, read_only=True)]
    container = agent_container(
        _CONTAINER,
        "drift",
        task,
        sight.config,
        storage=storage.secret_name if storage else None,
        mounts=mounts,
    )
    return agent_job(beside(sight, name), labels(sight), container, read | written, _LIMITS)
