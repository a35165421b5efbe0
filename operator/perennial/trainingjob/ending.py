"""How a run ends: with a version, with a failure in words, or by a deadline; and that an end is an end."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from perennial.api.resources import JOBS, PODS, TRAININGJOBS
from perennial.api.task import Failure as Answer
from perennial.api.task import Reason, Result
from perennial.api.trainingjob import Failure, Origin, Outcome, Phase, PublishedModel
from perennial.config import Config
from perennial.jobs import job_condition
from perennial.plan import Action, Body, Create, Delete, Event, Patch, Plan, See
from perennial.subject import wrong_with
from perennial.trainingjob import children
from perennial.trainingjob.job import live_start, patch_job, waiting
from perennial.trainingjob.pod import Pod
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.status import TERMINAL, build, pending_since, running_time

# Attempts lost to the infrastructure are not counted against backoffLimit, up to this many.
MAX_DISRUPTIONS = 10
# How soon the pods of a Job that has ended are read again, in seconds, while one of them seems to live.
READ_EVERY = 2.0


def finished(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Terminal is terminal: what still runs is stopped, and the TTL is kept."""
    status = snapshot.status
    if status.phase not in TERMINAL or status.completion_time is None:
        return None
    actions: list[Action] = []
    if status.phase is Phase.FAILED and snapshot.job and not job_condition(snapshot.job, "Complete", "Failed"):
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


def pending_too_long(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """pendingDeadlineSeconds: the wait for a pod that runs."""
    assert snapshot.spec
    deadline, since = snapshot.spec.pending_deadline_seconds, pending_since(snapshot, now)
    if deadline is None or since is None or snapshot.spec.suspend or live_start(snapshot):
        return None
    if now < since + timedelta(seconds=deadline):
        return None
    held = waiting(snapshot)
    why = held[1] if held else snapshot.pod.preparing if snapshot.pod else ""
    words = f"no pod ran within pendingDeadlineSeconds ({deadline})" + (f": {why}" if why else "")
    return fail(snapshot, now, Failure(reason="PendingDeadlineExceeded", message=words))


def untold(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job has ended, and of a pod that must have we have not been told yet: it says how."""
    ended = job_condition(snapshot.job, "Complete", "Failed")
    told = any(pod.outcome is Outcome.SUCCEEDED for pod in snapshot.pods)
    lives = any(pod.outcome is Outcome.ACTIVE and not pod.deleting for pod in snapshot.pods)
    return Plan([see(snapshot.job)], requeue_after=READ_EVERY) if ended and lives and not told else None


def job_failed(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """The Job gave up: the last pod says why."""
    condition = job_condition(snapshot.job, "Failed")
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
        retries = f" (spec.backoffLimit of {snapshot.spec.backoff_limit} is used up)"
        failure = failure.model_copy(update={"message": failure.message + retries})
    return fail(snapshot, now, failure, see(snapshot.job))


def job_complete(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Its pod succeeded: its answer is recorded, or looked for where it was published. The Job shows it later; of
    several nodes it alone knows whether that was enough."""
    succeeded = (pod for pod in reversed(snapshot.pods) if pod.outcome is Outcome.SUCCEEDED and pod.index == 0)
    done = next(succeeded, None)
    if (done is None or snapshot.distribution) and job_condition(snapshot.job, "Complete") is None:
        return None
    assert snapshot.spec
    answer = done.answer if done else None
    if isinstance(answer, Result):
        return _record(snapshot, now, answer, done)
    if isinstance(answer, Answer):
        return fail(snapshot, now, Failure(reason=answer.reason, message=answer.message))
    if snapshot.spec.output.mode == "External":
        words = (
            "the training ended well but left no result: with output.mode External it writes "
            '{"uri": ..., "digest": ..., "metrics": {...}} as JSON to /dev/termination-log'
        )
        return fail(snapshot, now, Failure(reason="ResultMissing", message=words), see(snapshot.job))
    return _recover(snapshot, now, config, snapshot.pod)


def disrupted_too_often(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """Pods lost to the infrastructure are not counted, but not for ever."""
    assert snapshot.spec
    if snapshot.spec.by_attempt:
        return None
    lost = {attempt.pod for attempt in snapshot.status.attempts if attempt.outcome is Outcome.DISRUPTED}
    lost |= {pod.name for pod in snapshot.pods if pod.outcome is Outcome.DISRUPTED}
    if len(lost) <= MAX_DISRUPTIONS:
        return None
    words = (
        f"{len(lost)} pods were lost to the infrastructure (preemption, drain, node loss); "
        f"{MAX_DISRUPTIONS} are forgiven"
    )
    return fail(snapshot, now, Failure(reason="TooManyDisruptions", message=words))


def running_too_long(snapshot: Snapshot, now: datetime, config: Config) -> Plan | None:
    """activeDeadlineSeconds: running time, added up across suspensions; publishing has a deadline of its own."""
    assert snapshot.spec
    deadline = snapshot.spec.active_deadline_seconds
    if deadline is None or snapshot.trained:
        return None
    if running_time(snapshot.status, now) < timedelta(seconds=deadline):
        return None
    words = f"the training ran longer than activeDeadlineSeconds ({deadline})"
    return fail(snapshot, now, Failure(reason="DeadlineExceeded", message=words))


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


def _record(snapshot: Snapshot, now: datetime, answer: Result, pod: Pod | None) -> Plan:
    assert snapshot.spec
    prepared, spec = pod.prepared if pod else None, snapshot.spec
    origin = Origin(
        model=spec.model.name,
        parameters=spec.parameters,
        inputs=[one.public() for one in spec.inputs],
        storage=spec.storage,
        code=spec.code.public() if spec.code else None,
    )
    try:
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
    except ValidationError as error:
        # No ModelVersion could be made of it, and those of other runs would wait behind it.
        words = f"the result that was left is none: {wrong_with(error)}"
        return fail(snapshot, now, Failure(reason=Reason.MESSAGE_INVALID, message=words))
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
        actions: list[Action] = [see(snapshot.job), Create(children.recovery(snapshot, snapshot.spec, config))]
        refusal = snapshot.refusal
        reason, words = (refusal.reason, refusal.message) if refusal else ("Recovering", words)
        return Plan(actions, build(snapshot, now, Phase.PUBLISHING, reason, words, stalled=refusal is not None))
    done = next((one for one in reversed(snapshot.recovery_pods) if one.outcome is Outcome.SUCCEEDED), None)
    answer = done.answer if done else None
    if isinstance(answer, Result):
        return _record(snapshot, now, answer, pod)
    if job_condition(snapshot.recovery, "Failed", "Complete"):
        last = next((one.answer for one in reversed(snapshot.recovery_pods) if isinstance(one.answer, Answer)), None)
        why = f": {last.message}" if isinstance(last, Answer) else ""
        return fail(
            snapshot,
            now,
            Failure(reason="ResultLost", message=f"the training's result was lost{why}"),
            see(snapshot.recovery),
        )
    return Plan(status=build(snapshot, now, Phase.PUBLISHING, "Recovering", words))


def fail(snapshot: Snapshot, now: datetime, failure: Failure, *first: Action, **changes: Any) -> Plan:
    """The run has failed for good. `changes`: further fields of its status."""
    failure = failure.model_copy(update={"time": failure.time or now})
    words = f"{failure.message.rstrip('.')}. A finished run never runs again: apply a TrainingJob of another name"
    status = build(snapshot, now, Phase.FAILED, failure.reason, words, failure=failure, **changes)
    told = snapshot.status.failure
    # The only attempt was told of when it failed.
    events = [] if told and told.message == failure.message else [Event("Warning", failure.reason, failure.message)]
    return Plan(first, status, events)


def see(job: Body | None) -> See:
    """To be sure before an end for good: what is not seen of a pod may only not have been told."""
    assert job
    return See(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])


def _stop(job: Body) -> Patch:
    """Ends a Job by its own deadline: it then shows as failed, and its pods are stopped."""
    return patch_job(job, {"activeDeadlineSeconds": 1})
