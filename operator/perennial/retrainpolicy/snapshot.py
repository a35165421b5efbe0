"""Everything that a decision about a RetrainPolicy looks at, read from the view in one go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perennial.api.meta import ANNOTATION_RETRAINPOLICY_UID, LABEL_RETRAINPOLICY, LABEL_REVISION, LABEL_RUN
from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.requestlog import RequestLog
from perennial.api.resources import (
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    PODS,
    RETRAINPOLICIES,
    TRAININGJOBS,
)
from perennial.api.retrainpolicy import MAX_RUNS, RetrainPolicySpec, RetrainPolicyStatus, Run, RunPhase
from perennial.errands import OwnJob, own_jobs
from perennial.plan import Body
from perennial.podwords import ready_since
from perennial.questions import Answer, Question
from perennial.retrainpolicy import fleet
from perennial.retrainpolicy.fleet import Fleet
from perennial.subject import Subject, read_spec, read_status
from perennial.view import Refusal, View

# A label is anybody's to write: a longer one is not a number of ours.
_MAX_DIGITS = 9
# Who claims such a run has not counted up to it.
_LAST = 10**_MAX_DIGITS - 2 * MAX_RUNS


@dataclass(frozen=True)
class Snapshot(Subject):
    """One policy and what it goes by. `jobs` and `versions` are all of the namespace, `policies` all of the cluster,
    `pods` the ready ones of the revision that is served; `fleet` is known while a run of this policy has yet to begin.
    """

    spec: RetrainPolicySpec | None
    invalid: str
    status: RetrainPolicyStatus
    deployment: Body | None
    serving: ModelDeploymentStatus
    series: Body | None
    jobs: Mapping[str, Body]
    versions: tuple[Body, ...]
    policies: Sequence[Body]
    fleet: Fleet | None
    refusal: Refusal | None
    errands: Sequence[OwnJob] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    pods: Sequence[Body] = ()

    @property
    def target(self) -> str:
        """The name of the deployment."""
        return self.spec.deployment.name if self.spec else ""

    @property
    def request_log(self) -> RequestLog | None:
        """Where the deployment writes what it is asked, if it does."""
        said = (self.deployment or {}).get("spec", {}).get("requestLog")
        return read_spec(RequestLog, said)[0] if said else None

    @property
    def template(self) -> Body:
        """The spec that TrainingJobs are made with, as the user wrote it."""
        spec: Body = self.body["spec"]["trainingJobTemplate"]["spec"]
        return spec

    def job_of(self, run: Run) -> Body | None:
        """The TrainingJob of a run, if it is there and was made by this policy: labels are anybody's to take off."""
        job = self.jobs.get(run.training_job or "")
        if job is None:
            return None
        metadata = job["metadata"]
        uid = (metadata.get("annotations") or {}).get(ANNOTATION_RETRAINPOLICY_UID)
        return job if uid == self.uid else None

    def version_of(self, run: Run) -> Body | None:
        """The ModelVersion that came of a run."""
        job = self.job_of(run)
        uid = job["metadata"]["uid"] if job else None
        for version in self.versions:
            spec = version["spec"]
            origin = spec.get("trainingJob") or {}
            known = _retrain(version) == (self.name, run.number) or (uid and origin.get("uid") == uid)
            if known and origin.get("name") == run.training_job:
                return version
        return None

    def next_number(self, above: int) -> int:
        """A number above every one that was ever given, as far as can be seen, whose TrainingJob's name is free."""
        jobs = (_number(job["metadata"], self.name) for job in self.jobs.values())
        versions = (number for policy, number in map(_retrain, self.versions) if policy == self.name)
        number = max((one for one in (above, *jobs, *versions) if one < _LAST), default=0) + 1
        taken = {run.number for run in self.status.runs}
        while number in taken or job_name(self.name, number) in self.jobs:
            number += 1
        return number


def job_name(policy: str, number: int) -> str:
    """Name of a run's TrainingJob."""
    return f"{policy}-{number}"


def gather(view: View, namespace: str, name: str) -> Snapshot | None:
    """The snapshot of one policy, or None when it is not there or is being deleted: what it started goes on."""
    body = view.get(RETRAINPOLICIES, namespace, name)
    if body is None or "deletionTimestamp" in body["metadata"]:
        return None
    spec, invalid = read_spec(RetrainPolicySpec, body["spec"])
    target = spec.deployment.name if spec else ""
    status = read_status(RetrainPolicyStatus, body.get("status"))
    begins = any(run.phase is RunPhase.PENDING for run in status.runs)
    deployment = view.get(MODELDEPLOYMENTS, namespace, target)
    serving = read_status(ModelDeploymentStatus, (deployment or {}).get("status"))
    return Snapshot(
        body=body,
        spec=spec,
        invalid=invalid,
        status=status,
        deployment=deployment,
        serving=serving,
        series=view.get(METRICSERIES, namespace, target),
        jobs={job["metadata"]["name"]: job for job in view.list(TRAININGJOBS, namespace)},
        versions=tuple(view.list(MODELVERSIONS, namespace)),
        policies=view.everywhere(RETRAINPOLICIES),
        fleet=fleet.gather(view) if begins else None,
        refusal=view.refusal(RETRAINPOLICIES, namespace, name),
        errands=own_jobs(view, body["metadata"]["uid"]),
        answers=view.answers(RETRAINPOLICIES, namespace, name),
        pods=[pod for pod in view.indexed(PODS, namespace, target) if _serves(pod, serving.stable_revision)],
    )


def _serves(pod: Body, revision: str | None) -> bool:
    metadata = pod["metadata"]
    of = (metadata.get("labels") or {}).get(LABEL_REVISION)
    return of == revision and not metadata.get("deletionTimestamp") and ready_since(pod) is not None


def _retrain(version: Body) -> tuple[str, int]:
    """The policy and the run that a version says it came of."""
    said = version["spec"].get("retrain") or {}
    return str(said.get("policy", "")), int(said.get("run", 0))


def _number(metadata: Mapping[str, Any], policy: str) -> int:
    """The run that an object's labels tell of, or 0 when it is of no run of that policy."""
    labels = metadata.get("labels") or {}
    text = str(labels.get(LABEL_RUN, ""))
    known = labels.get(LABEL_RETRAINPOLICY) == policy and text.isascii() and text.isdigit()
    return int(text) if known and len(text) <= _MAX_DIGITS else 0
