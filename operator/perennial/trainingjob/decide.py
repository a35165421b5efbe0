"""What happens next with a TrainingJob: the first rule that has something to say says it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from perennial.api.base import parse_time
from perennial.api.resources import JOBS, PODS, TRAININGJOBS
from perennial.api.task import Failure as Answer
from perennial.api.task import Result
from perennial.api.trainingjob import Failure, Origin, Outcome, Phase, PublishedModel
from perennial.config import Config
from perennial.plan import Action, Body, Create, Delete, Event, Explain, Patch, Plan
from perennial.trainingjob import children
from perennial.trainingjob.children import InvalidSpec
from perennial.trainingjob.pod import Pod
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.status import TERMINAL, build, pending_since, running_time

Rule = Callable[[Snapshot, datetime, Config], Plan | None]

# Attempts lost to the infrastructure are not counted against backoffLimit, up to this many.
MAX_DISRUPTIONS = 10
# A run that lasts less than this never shows as Running: one write less for it.
RUNNING_DELAY = 1.0
# So long a wait for the pod to start, or for the upload, is nothing to write about before: it mostly ends by then.
QUIET = 10.0
# A Job that its controller works on and that has no pod after this long was refused one; its Events say why.
NO_POD_AFTER = timedelta(seconds=3)
# How soon the Events of such a Job are read again.
EXPLAIN_EVERY = 15.0


def decide(snapshot: Snapshot, now: datetime, config: Config) -> Plan:
    """The plan for one TrainingJob."""
    for rule in RULES:
        plan = rule(snapshot, now, config)
        if plan is not None:
            return plan
    return Plan()


def being_deleted(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Children go by their owner references."""
    return Plan() if "deletionTimestamp" in snapshot.body["metadata"] else None


def finished(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Terminal is terminal: what still runs is stopped, and the TTL is kept."""
    status = snapshot.status
    if status.phase not in TERMINAL or status.completion_time is None:
        return None
    actions: list[Action] = []
    if status.phase is Phase.FAILED and snapshot.job and not _job_condition(snapshot.job, "Complete", "Failed"):
        actions.append(_stop(snapshot.job))
    ttl = snapshot.spec.ttl_seconds_after_finished if snapshot.spec else None
    if ttl is None:
        return Plan(actions)
    left = (status.completion_time + timedelta(seconds=ttl) - now).total_seconds()
    if left > 0:
        return Plan(actions, requeue_after=left)
    return Plan([Delete(TRAININGJOBS, snapshot.namespace, snapshot.name, snapshot.uid)])


def versioned(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The ModelVersion is there: the run succeeded."""
    version, result = snapshot.model_version, snapshot.status.result
    if version is None or result is None:
        return None
    name = version["metadata"]["name"]
    words = f"published {name} ({result.digest[:19]}) to {result.uri}"
    status = build(snapshot, now, Phase.SUCCEEDED, "Published", words, model_version=name, failure=None)
    return Plan(status=status, events=[Event("Normal", "Succeeded", words)])


def published(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The result is recorded; the Model gives it its number."""
    if snapshot.status.result is None:
        return None
    refusal = snapshot.model_refusal
    words = refusal.message if refusal else "the model is published; its version is being recorded"
    reason = refusal.reason if refusal else "Recording"
    return Plan(status=build(snapshot, now, Phase.PUBLISHING, reason, words, stalled=refusal is not None))


def unreadable(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """A spec that the schema let through (of another version, say) but that cannot be understood."""
    if snapshot.spec is not None:
        return None
    return Plan(status=build(snapshot, now, Phase.PENDING, "InvalidSpec", snapshot.invalid, stalled=True))


def held(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Suspended before it began: no Job is made, and everything may still be edited."""
    assert snapshot.spec
    if not snapshot.spec.suspend or snapshot.job is not None:
        return None
    return Plan(status=build(snapshot, now, Phase.SUSPENDED, "Suspended", "spec.suspend is true"))


def pending_too_long(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """pendingDeadlineSeconds: the wait for a pod that runs."""
    assert snapshot.spec
    deadline, since = snapshot.spec.pending_deadline_seconds, pending_since(snapshot, now)
    if deadline is None or since is None or snapshot.spec.suspend or _live_start(snapshot):
        return None
    if now < since + timedelta(seconds=deadline):
        return None
    why = _waiting(snapshot)
    words = f"no pod ran within pendingDeadlineSeconds ({deadline})" + (f": {why[1]}" if why else "")
    return _fail(snapshot, now, Failure(reason="PendingDeadlineExceeded", message=words))


def refused(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The API server refuses a child: shown in its own words, and tried again by the engine."""
    refusal = snapshot.refusal
    if refusal is None or snapshot.job is not None:
        return None
    actions, invalid = _creation(snapshot, config)
    if invalid:
        return None
    status = build(snapshot, now, Phase.PENDING, refusal.reason, refusal.message, stalled=True)
    event = Event("Warning", refusal.reason, refusal.message)
    return Plan(actions, status, [event], requeue_after=_until_deadline(snapshot, now))


def create(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job is made before any status is written: its name is fixed, so that it is made once."""
    if snapshot.job is not None:
        return None
    actions, invalid = _creation(snapshot, config)
    if invalid:
        status = build(snapshot, now, Phase.PENDING, "InvalidSpec", invalid, stalled=True)
        return Plan(status=status, events=[Event("Warning", "InvalidSpec", invalid)])
    return Plan(actions)


def job_failed(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job gave up: the last pod says why."""
    condition = _job_condition(snapshot.job, "Failed")
    if condition is None:
        return None
    failed = [pod for pod in snapshot.pods if pod.outcome is Outcome.FAILED]
    if failed:
        failure = failed[-1].failure()
    else:
        failure = snapshot.status.failure or Failure(
            reason=condition.get("reason") or "JobFailed", message=condition.get("message", "")
        )
    assert snapshot.spec
    if condition.get("reason") == "BackoffLimitExceeded" and snapshot.spec.backoff_limit:
        retries = f" (after {snapshot.spec.backoff_limit} retries, spec.backoffLimit)"
        failure = failure.model_copy(update={"message": failure.message + retries})
    return _fail(snapshot, now, failure)


def job_complete(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job is complete: its answer is recorded, or looked for where it was published."""
    if _job_condition(snapshot.job, "Complete") is None:
        return None
    assert snapshot.spec
    done = next((pod for pod in reversed(snapshot.pods) if pod.outcome is Outcome.SUCCEEDED), None)
    answer = done.answer if done else None
    if isinstance(answer, Result):
        return _record(snapshot, now, answer, done)
    if isinstance(answer, Answer):
        return _fail(snapshot, now, Failure(reason=answer.reason, message=answer.message))
    if snapshot.spec.output.mode == "External":
        words = (
            "the training ended well but left no result: with output.mode External it writes "
            '{"uri": ..., "digest": ..., "metrics": {...}} as JSON to /dev/termination-log'
        )
        return _fail(snapshot, now, Failure(reason="ResultMissing", message=words))
    return _recover(snapshot, now, config, snapshot.pod)


def disrupted_too_often(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Pods lost to the infrastructure are not counted, but not for ever."""
    lost = {attempt.pod for attempt in snapshot.status.attempts if attempt.outcome is Outcome.DISRUPTED}
    lost |= {pod.name for pod in snapshot.pods if pod.outcome is Outcome.DISRUPTED}
    if len(lost) <= MAX_DISRUPTIONS:
        return None
    words = (
        f"{len(lost)} pods were lost to the infrastructure (preemption, drain, node loss); "
        f"{MAX_DISRUPTIONS} are forgiven"
    )
    return _fail(snapshot, now, Failure(reason="TooManyDisruptions", message=words))


def running_too_long(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """activeDeadlineSeconds: running time, added up across suspensions; publishing has a deadline of its own."""
    assert snapshot.spec
    deadline, pod = snapshot.spec.active_deadline_seconds, snapshot.pod
    if deadline is None or (pod is not None and pod.trained):
        return None
    if running_time(snapshot.status, now) < timedelta(seconds=deadline):
        return None
    words = f"the training ran longer than activeDeadlineSeconds ({deadline})"
    return _fail(snapshot, now, Failure(reason="DeadlineExceeded", message=words))


def stuck(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """A pod that cannot end by itself is ended, once the reason is on the status."""
    pod = snapshot.pod
    why = pod.stuck if pod else None
    if pod is None or why is None:
        return None
    recorded = snapshot.status.failure
    if recorded and recorded.pod == pod.name and recorded.reason == why[0]:
        return Plan([Delete(PODS, snapshot.namespace, pod.name, pod.uid)])
    failure = Failure(reason=why[0], message=why[1], pod=pod.name, time=now)
    status = build(snapshot, now, Phase.RUNNING, why[0], why[1], failure=failure)
    return Plan(status=status, events=[Event("Warning", why[0], why[1])])


def suspend(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """spec.suspend stops the pods; a training that has ended is first published."""
    assert snapshot.spec
    assert snapshot.job
    wanted, pod = snapshot.spec.suspend, snapshot.pod
    if wanted and pod is not None and pod.trained and pod.outcome is Outcome.ACTIVE and not pod.deleting:
        return None
    actions = []
    if bool(snapshot.job["spec"].get("suspend")) != wanted:
        actions.append(_patch_job(snapshot.job, {"suspend": wanted}))
    if not wanted:
        return Plan(actions) if actions else None
    words = "spec.suspend is true; its pods are stopped, and it starts again from the beginning when it is lifted"
    status = build(snapshot, now, Phase.SUSPENDED, "Suspended", words)
    return Plan(actions, status, [Event("Normal", "Suspended", words)])


def progress(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Nothing to do but to say how it stands, and to come back when a clock runs out."""
    pod = snapshot.pod
    later = _until_deadline(snapshot, now)
    failed = next((one for one in reversed(snapshot.pods) if one.outcome in (Outcome.FAILED, Outcome.DISRUPTED)), None)
    changes: dict[str, Any] = {}
    events = []
    if failed and (snapshot.status.failure is None or snapshot.status.failure.pod != failed.name):
        failure = failed.failure().model_copy(update={"time": now})
        changes["failure"] = failure
        events.append(Event("Warning", failure.reason, f"attempt {failed.name}: {failure.message}"))
    if pod is None or pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED):
        return _without_pod(snapshot, now, later, changes, events)
    if pod.trained:
        words = "the training has ended; its output is being published"
        status = build(snapshot, now, Phase.PUBLISHING, "Publishing", words, **changes)
        return Plan(status=status, events=events, requeue_after=later, status_delay=0 if changes else QUIET)
    if pod.started:
        words = f"training in pod {pod.name}"
        if later is None or later > RUNNING_DELAY:
            later = RUNNING_DELAY if snapshot.status.phase is not Phase.RUNNING else later
        status = build(snapshot, now, Phase.RUNNING, "Training", words, **changes)
        return Plan(status=status, events=events, requeue_after=later, status_delay=0 if changes else RUNNING_DELAY)
    reason, words = pod.waiting or ("Preparing", f"pod {pod.name} is being prepared")
    if pod.waiting:
        events.append(Event("Warning", reason, words))
    delay = 0.0 if changes or pod.waiting else _pending_delay(snapshot)
    status = build(snapshot, now, Phase.PENDING, reason, words, **changes)
    return Plan(status=status, events=events, requeue_after=later, status_delay=delay)


RULES: tuple[Rule, ...] = (
    being_deleted,
    finished,
    versioned,
    published,
    unreadable,
    held,
    pending_too_long,
    refused,
    create,
    job_failed,
    job_complete,
    disrupted_too_often,
    running_too_long,
    stuck,
    suspend,
    progress,
)


def _without_pod(
    snapshot: Snapshot, now: datetime, later: float | None, changes: dict[str, Any], events: list[Event]
) -> Plan:
    """Between two attempts, or before the first: has the cluster refused the pod?"""
    assert snapshot.job
    explanation = snapshot.explanation
    if explanation:
        events.append(Event("Warning", "PodRefused", explanation))
    words = explanation or "waiting for the Job's pod"
    status = build(snapshot, now, Phase.PENDING, "PodRefused" if explanation else "Starting", words, **changes)
    metadata, begun = snapshot.job["metadata"], (snapshot.job.get("status") or {}).get("startTime")
    waited = begun is not None and now - parse_time(begun) >= NO_POD_AFTER
    actions: list[Action] = []
    if waited and not snapshot.pods:
        actions.append(Explain(JOBS, snapshot.namespace, metadata["name"], metadata["uid"]))
    look_again = EXPLAIN_EVERY if waited else NO_POD_AFTER.total_seconds()
    return Plan(
        actions,
        status,
        events,
        requeue_after=min(look_again, later or look_again),
        status_delay=0 if changes or explanation else _pending_delay(snapshot),
    )


def _pending_delay(snapshot: Snapshot) -> float:
    """The API server shows a new run as Pending by itself; one that was something else must be seen to change."""
    return RUNNING_DELAY if snapshot.status.observed_generation else QUIET


def _creation(snapshot: Snapshot, config: Config) -> tuple[list[Action], str]:
    """The actions that make the Job, or what is wrong with the spec."""
    assert snapshot.spec
    before = snapshot.status.spec_hash
    if before and before != children.spec_hash(snapshot.body):
        return [], (
            "spec was edited after the Job was made, and the Job is gone: undo the edit, or apply a TrainingJob of "
            "another name"
        )
    try:
        job = children.job(snapshot, snapshot.spec, config)
    except InvalidSpec as error:
        return [], str(error)
    actions: list[Action] = []
    if snapshot.spec.output.uri is None and config.defaults.output is None and snapshot.claim is None:
        actions.append(Create(children.claim(snapshot.namespace, config)))
    return [*actions, Create(job)], ""


def _record(snapshot: Snapshot, now: datetime, answer: Result, pod: Pod | None) -> Plan:
    assert snapshot.spec
    prepared, spec = pod.prepared if pod else None, snapshot.spec
    origin = Origin(
        model=spec.model.name, parameters=spec.parameters, inputs=spec.inputs, storage=spec.storage, code=spec.code
    )
    result = PublishedModel(
        origin=origin,
        uri=answer.uri,
        digest=answer.digest,
        format=spec.model.format or answer.format,
        metrics=answer.metrics,
        evaluation=answer.evaluation,
        image=pod.image if pod else None,
        inputs={**(prepared.inputs if prepared else {})},
    )
    words = "the model is published; its version is being recorded"
    status = build(
        snapshot, now, Phase.PUBLISHING, "Recording", words, result=result, metrics=answer.metrics or None, failure=None
    )
    return Plan(status=status)


def _recover(snapshot: Snapshot, now: datetime, config: Config, pod: Pod | None) -> Plan:
    """The pod, or its message, is gone; the store still knows."""
    assert snapshot.spec
    words = "the pod's message was lost; looking for the result where it was published"
    if snapshot.recovery is None:
        actions = [Create(children.recovery(snapshot, snapshot.spec, config))]
        refusal = snapshot.refusal
        reason, words = (refusal.reason, refusal.message) if refusal else ("Recovering", words)
        return Plan(actions, build(snapshot, now, Phase.PUBLISHING, reason, words, stalled=refusal is not None))
    done = next((one for one in reversed(snapshot.recovery_pods) if one.outcome is Outcome.SUCCEEDED), None)
    answer = done.answer if done else None
    if isinstance(answer, Result):
        return _record(snapshot, now, answer, pod)
    if _job_condition(snapshot.recovery, "Failed", "Complete"):
        last = next((one.answer for one in reversed(snapshot.recovery_pods) if isinstance(one.answer, Answer)), None)
        why = f": {last.message}" if isinstance(last, Answer) else ""
        return _fail(snapshot, now, Failure(reason="ResultLost", message=f"the training's result was lost{why}"))
    return Plan(status=build(snapshot, now, Phase.PUBLISHING, "Recovering", words))


def _fail(snapshot: Snapshot, now: datetime, failure: Failure) -> Plan:
    failure = failure.model_copy(update={"time": failure.time or now})
    status = build(snapshot, now, Phase.FAILED, failure.reason, failure.message, failure=failure)
    return Plan(status=status, events=[Event("Warning", failure.reason, failure.message)])


def _stop(job: Body) -> Patch:
    """Ends a Job by its own deadline: it then shows as failed, and its pods are stopped."""
    return _patch_job(job, {"activeDeadlineSeconds": 1})


def _patch_job(job: Body, spec: Body) -> Patch:
    metadata = job["metadata"]
    return Patch(JOBS, metadata["namespace"], metadata["name"], {"spec": spec}, metadata["uid"])


def _job_condition(job: Body | None, *types: str) -> Body | None:
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] in types and one["status"] == "True"), None)


def _live_start(snapshot: Snapshot) -> bool:
    return snapshot.status.running_since is not None or any(
        pod.started and pod.outcome is Outcome.ACTIVE for pod in snapshot.pods
    )


def _waiting(snapshot: Snapshot) -> tuple[str, str] | None:
    if snapshot.pod:
        return snapshot.pod.waiting
    return ("PodRefused", snapshot.explanation) if snapshot.explanation else None


def _until_deadline(snapshot: Snapshot, now: datetime) -> float | None:
    """Seconds until the next clock runs out; None when no clock runs."""
    assert snapshot.spec
    left = []
    if snapshot.spec.active_deadline_seconds and snapshot.status.running_since:
        left.append(snapshot.spec.active_deadline_seconds - running_time(snapshot.status, now).total_seconds())
    if snapshot.spec.pending_deadline_seconds and not _live_start(snapshot):
        since = pending_since(snapshot, now) or now
        left.append(snapshot.spec.pending_deadline_seconds - (now - since).total_seconds())
    return max(0.1, min(left)) if left else None
