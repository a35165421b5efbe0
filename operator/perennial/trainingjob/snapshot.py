"""Everything that a decision about a TrainingJob looks at, read from the view in one go."""

from dataclasses import dataclass

from perennial.api.meta import ANNOTATION_SPEC, ANNOTATION_SPEC_HASH, DEFAULT_CLAIM, LABEL_MODELDEPLOYMENT
from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.resources import JOBS, MODELDEPLOYMENTS, MODELS, MODELVERSIONS, PODS, PVCS, TRAININGJOBS
from perennial.api.trainingjob import Champion, OutputMode, TrainingJobSpec, TrainingJobStatus
from perennial.owners import controller_uid
from perennial.plan import Body
from perennial.subject import Subject, read_json, read_spec, read_status
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
    refusal: Refusal | None
    explanation: str | None
    model_refusal: Refusal | None

    @property
    def pod(self) -> Pod | None:
        """The newest pod."""
        return self.pods[-1] if self.pods else None

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
    job = _own(view, namespace, name, uid)
    spec, invalid = _spec(body, job)
    status = read_status(TrainingJobStatus, body.get("status"))
    model = status.result.origin.model if status.result else spec.model.name if spec else ""
    recovery = _own(view, namespace, recovery_name(name), uid)
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
        refusal=view.refusal(TRAININGJOBS, namespace, name),
        explanation=view.explanation(JOBS, namespace, name) if job else None,
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


def _own(view: View, namespace: str, name: str, uid: str) -> Body | None:
    job = view.get(JOBS, namespace, name)
    return job if job and controller_uid(job) == uid else None


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
