"""Jobs that find something out for an object: made from a template, found again by their names, and how they ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import read_time
from perennial.api.resources import JOBS, PODS
from perennial.api.sample import parse_sample
from perennial.config import PodSecurity
from perennial.jobs import DISRUPTIONS_IGNORED, job_condition
from perennial.plan import Body
from perennial.pods import literals, secured
from perennial.podwords import cut, exit_words
from perennial.questions import Answer, Rehearsal
from perennial.sources import Job
from perennial.view import View

WORDS = 300
_KEPT_SECONDS = 600
# A pod is told of apart from its Job, and may be told of later.
_LOST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class OwnJob:
    """A Job of an object's own, and its pods."""

    job: Body
    pods: Sequence[Body]

    @property
    def name(self) -> str:
        """The name of the Job."""
        return str(self.job["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class End:
    """How a Job ended. `container`: how the one did that answers, where it did by itself; `error`: why there is no
    answer, in words; empty where there is one."""

    container: Body | None
    error: str = ""

    @property
    def message(self) -> str:
        """What it left as termination message."""
        return str((self.container or {}).get("message") or "")

    @property
    def decided(self) -> bool:
        """Whether it ended with an exit code of its own choice; one that is ended has not decided anything."""
        code = (self.container or {}).get("exitCode") or 0
        return 0 < code < 128 and (self.container or {}).get("reason") != "OOMKilled"


def own_jobs(view: View, uid: str) -> list[OwnJob]:
    """The Jobs that this object controls."""
    return [
        OwnJob(job, view.owned(PODS, job["metadata"]["uid"]))
        for job in view.owned(JOBS, uid)
        if not job["metadata"].get("deletionTimestamp")
    ]


def found(jobs: Sequence[OwnJob], name: str) -> OwnJob | None:
    """The Job of this name."""
    return next((one for one in jobs if one.name == name), None)


def ends(own: OwnJob, container: str) -> Sequence[Body]:
    """How this container ended in each of the pods where it did, the last one last."""
    return [
        ended
        for pod in sorted(own.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
        if status["name"] == container and (ended := (status.get("state") or {}).get("terminated"))
    ]


def given_up_at(own: OwnJob) -> datetime | None:
    """When the answer of a Job that ended is not waited for any more; None while it runs, and if it ran out of time."""
    ended = job_condition(own.job, "Complete", "Failed")
    if ended and ended.get("reason") == "DeadlineExceeded":
        return None
    at = read_time(ended.get("lastTransitionTime")) if ended else None
    return at + _LOST if at else None


def lost(own: OwnJob, now: datetime) -> str:
    """That the answer of a Job that ended does not come any more, as far as that is so."""
    at = given_up_at(own)
    return f"the answer of Job {own.name} is lost with its pod" if at and now >= at else ""


def end_of(own: OwnJob, container: str, now: datetime) -> End | None:
    """How a Job ended, once all is known of it that will be; None before."""
    last = next(reversed(ends(own, container)), None)
    if failed := job_condition(own.job, "Failed"):
        timed_out = failed.get("reason") == "DeadlineExceeded"
        if not last and not timed_out and not lost(own, now):
            return None
        if last is None or timed_out:
            return End(None, f"Job {own.name} failed: {failed.get('message', '')}")
        message = last.get("message") or ""
        how = exit_words(last.get("exitCode") or 0, last.get("reason"))
        return End(last, f"Job {own.name} ended with {how}{f': {cut(message, WORDS)}' if message else ''}")
    if last and job_condition(own.job, "Complete"):
        return End(last)
    gone = lost(own, now)
    return End(None, gone) if gone else None


def sampled(own: OwnJob, end: End) -> Answer:
    """The sample that a Job left which measures."""
    if end.error:
        return Answer(error=end.error)
    try:
        return Answer(parse_sample(end.message))
    except ValueError as error:
        return Answer(error=f"Job {own.name} left no sample in its termination message: {error}")


def answering(job: Job) -> str:
    """The name of the container that answers: the first."""
    return str(job.template["spec"]["containers"][0]["name"])


def spec_of(job: Job, env: Mapping[str, str], labels: Mapping[str, str], security: PodSecurity) -> Body:
    """The spec of such a Job. `env`: what its containers are told; `labels`: of its pod, beside its own."""
    template, metadata = job.template, job.template.get("metadata") or {}
    pod = secured(template["spec"], security) | {"restartPolicy": "Never"}
    for place in ("containers", "initContainers"):
        if pod.get(place):
            pod[place] = [_with(one, env) for one in pod[place]]
    if not pod.get("serviceAccountName"):
        pod.setdefault("automountServiceAccountToken", False)
    return {
        "backoffLimit": 0,
        "activeDeadlineSeconds": job.active_deadline_seconds,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "podFailurePolicy": DISRUPTIONS_IGNORED,
        "template": {"metadata": {**metadata, "labels": (metadata.get("labels") or {}) | dict(labels)}, "spec": pod},
    }


def rehearsal(body: Body) -> Rehearsal:
    """Whether the API server would take such a Job."""
    return Rehearsal(json.dumps(body, sort_keys=True))


def objection(answer: Answer | None, place: str) -> str:
    """What the API server has against it, by the field of the object that asks for it. `place`: of the Job there."""
    if answer is None or not answer.error:
        return ""
    _, _, words = answer.error.rpartition(" is invalid: ")
    inside = words.removeprefix("spec.")
    return f"{place}.{inside}" if inside != words else f"{place}: {words}"


def _with(container: Body, env: Mapping[str, str]) -> Body:
    """First, since a variable may refer to those before it; a variable of the user's stands."""
    theirs = container.get("env") or []
    names = {one["name"] for one in theirs}
    ours = literals({name: value for name, value in env.items() if name not in names})
    # Its last words say why it ended, where it writes none to /dev/termination-log.
    return {"terminationMessagePolicy": "FallbackToLogsOnError", **container, "env": [*ours, *theirs]}
