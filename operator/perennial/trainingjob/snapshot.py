"""Everything that a decision about a TrainingJob looks at, read from the view in one go."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.meta import ANNOTATION_SPEC, ANNOTATION_SPEC_HASH, DEFAULT_CLAIM, LABEL_MODELDEPLOYMENT
from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.resources import (
    JOBS,
    MODELDEPLOYMENTS,
    MODELS,
    MODELVERSIONS,
    PODS,
    PVCS,
    SERVICES,
    TRAININGJOBS,
    Resource,
)
from perennial.api.trainingjob import Champion, Distribution, Outcome, OutputMode, TrainingJobSpec, TrainingJobStatus
from perennial.owners import controller_uid
from perennial.plan import Body
from perennial.subject import Subject, read_json, read_spec, read_status
from perennial.trainingjob import gang
from perennial.trainingjob.pod import Pod
from perennial.view import Refusal, View

# Fields that may change once the Job is there: they are ours to keep, not rendered into anything.
MUTABLE = {"suspend", "activeDeadlineSeconds", "pendingDeadlineSeconds", "ttlSecondsAfterFinished"}


@dataclass(frozen=True)
class Snapshot(Subject):
    """One TrainingJob and what belongs to it. `spec` is what its Job was made from, but for what may change."""

    spec: TrainingJobSpec | None
    invalid: str
    status: TrainingJobStatus
    job: Body | None
    pods: tuple[Pod, ...]
    recovery: Body | None
    recovery_pods: tuple[Pod, ...]
    model_version: Body | None
    champion: Champion | None
    claim: Body | None
    service: Body | None
    refusal: Refusal | None
    explanation: str | None
    model_refusal: Refusal | None

    @property
    def distribution(self) -> Distribution | None:
        """How its nodes stand and fall together, if there are several."""
        return self.spec.distribution if self.spec else None

    @property
    def pod(self) -> Pod | None:
        """The pod that says where the run stands: the newest, or of several nodes the one that is least far."""
        if self.distribution:
            return gang.least_far(self.pods, self.distribution)
        return self.pods[-1] if self.pods else None

    @property
    def leader(self) -> Pod | None:
        """The pod whose model is published."""
        return next((pod for pod in reversed(self.pods) if pod.index == 0), None)

    @property
    def missing(self) -> bool:
        """Whether the Job has yet to make a pod without which it does not train."""
        return len(self.pods) < (self.distribution.needed if self.distribution else 1)

    @property
    def failed(self) -> Pod | None:
        """The pod for which the last attempt that failed has."""
        if self.distribution:
            return gang.cause(self.pods, self.distribution)
        return next((pod for pod in reversed(self.pods) if pod.outcome in (Outcome.FAILED, Outcome.DISRUPTED)), None)

    @property
    def trained(self) -> bool:
        """Whether the training has ended well, and only the publishing is left."""
        pod = self.leader if self.distribution and self.distribution.by_leader else self.pod
        return pod is not None and pod.trained

    @property
    def live_since(self) -> datetime | None:
        """Since when the training runs now, on all of its nodes; None when it does not."""
        if self.distribution:
            return gang.trains_since(self.pods, self.distribution)
        starts = (pod.started for pod in self.pods if pod.outcome is Outcome.ACTIVE)
        return min((start for start in starts if start), default=None)

    @property
    def attempt(self) -> int:
        """Which attempt the Job is."""
        return gang.attempt_of(self.job) if self.job else 1

    @property
    def job_spec_hash(self) -> str | None:
        annotations = (self.job or {}).get("metadata", {}).get("annotations") or {}
        return annotations.get(ANNOTATION_SPEC_HASH)


def recovery_name(name: str) -> str:
    """Name of the Job that looks for a result whose message was lost."""
    return f"{name}-recover"


def gather(view: View, namespace: str, name: str) -> Snapshot | None:
    """The snapshot of one TrainingJob, or None when it is not there."""
    body = view.get(TRAININGJOBS, namespace, name)
    if body is None:
        return None
    uid = body["metadata"]["uid"]
    job = _newest(view, name, uid)
    spec, invalid = _spec(body, job)
    status = read_status(TrainingJobStatus, body.get("status"))
    model = status.result.origin.model if status.result else spec.model.name if spec else ""
    recovery = _own(view, JOBS, namespace, recovery_name(name), uid)
    managed = spec is None or spec.output.mode is OutputMode.MANAGED
    return Snapshot(
        body=body,
        spec=spec,
        invalid=invalid,
        status=status,
        job=job,
        pods=_pods(view, job, managed=managed),
        recovery=recovery,
        recovery_pods=_pods(view, recovery, managed=False),
        model_version=_model_version(view, namespace, uid, model),
        champion=_champion(view, body, spec),
        claim=view.get(PVCS, namespace, DEFAULT_CLAIM),
        service=_own(view, SERVICES, namespace, gang.service_name(name), uid),
        refusal=view.refusal(TRAININGJOBS, namespace, name),
        explanation=view.explanation(JOBS, namespace, job["metadata"]["name"]) if job else None,
        model_refusal=view.refusal(MODELS, namespace, model),
    )


def _spec(body: Body, job: Body | None) -> tuple[TrainingJobSpec | None, str]:
    spec = body.get("spec") or {}
    rendered = read_json(((job or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION_SPEC, ""))
    if isinstance(rendered, dict):
        kept = {field: spec[field] for field in (*MUTABLE, "template") if field in spec}
        found, invalid = read_spec(TrainingJobSpec, kept | rendered)
        if not invalid:
            return found, ""
    # Without a Job, or with one whose note somebody broke.
    return read_spec(TrainingJobSpec, spec)


def _own(view: View, resource: Resource, namespace: str, name: str, uid: str) -> Body | None:
    body = view.get(resource, namespace, name)
    return body if body and controller_uid(body) == uid else None


def _newest(view: View, name: str, uid: str) -> Body | None:
    """The Job of the newest attempt."""
    numbered = ((gang.attempt_of(job), job) for job in view.owned(JOBS, uid))
    attempts = [(number, job) for number, job in numbered if job["metadata"]["name"] == gang.job_name(name, number)]
    return max(attempts, key=lambda one: one[0])[1] if attempts else None


def _pods(view: View, job: Body | None, *, managed: bool) -> tuple[Pod, ...]:
    if job is None:
        return ()
    pods = (Pod(body, managed) for body in view.owned(PODS, job["metadata"]["uid"]))
    return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))


def _model_version(view: View, namespace: str, uid: str, model: str) -> Body | None:
    """The ModelVersion that the Model gave this run."""
    record = view.get(MODELS, namespace, model)
    for reservation in (record or {}).get("status", {}).get("reserved") or ():
        if reservation["uid"] == uid:
            version = view.get(MODELVERSIONS, namespace, f"{model}-{reservation['version']}")
            origin = (version or {}).get("spec", {}).get("trainingJob") or {}
            return version if origin.get("uid") == uid else None
    return None


def _champion(view: View, body: Body, spec: TrainingJobSpec | None) -> Champion | None:
    """What the policy's deployment serves, else what the first deployment by name that follows the model serves."""
    if spec is None:
        return None
    namespace = body["metadata"]["namespace"]
    labelled = (body["metadata"].get("labels") or {}).get(LABEL_MODELDEPLOYMENT)
    if labelled:
        deployments = [one for one in [view.get(MODELDEPLOYMENTS, namespace, labelled)] if one]
    else:
        deployments = list(view.indexed(MODELDEPLOYMENTS, namespace, spec.model.name))
    for deployment in sorted(deployments, key=lambda one: str(one["metadata"]["name"])):
        promotions = read_status(ModelDeploymentStatus, deployment.get("status")).promotions
        if promotions:
            newest, name = promotions[0], deployment["metadata"]["name"]
            return Champion(deployment=name, version=newest.version, uri=newest.uri, digest=newest.digest)
    return None
