"""The objects of a TrainingJob: its Job with the pod of the run contract, the recovery Job, the default claim."""

import hashlib
import json
import re
from typing import Any

from perennial.api.meta import (
    ANNOTATION_CHAMPION,
    ANNOTATION_SPEC,
    ANNOTATION_SPEC_HASH,
    DEFAULT_CLAIM,
    LABEL_MODEL,
    LABEL_OWNED,
    LABEL_TRAININGJOB,
)
from perennial.api.resources import TRAININGJOBS
from perennial.api.task import Artifact, PrepareTask, PublishTask, RecoverTask
from perennial.api.trainingjob import Champion, OutputMode, TrainingJobSpec
from perennial.config import Config
from perennial.owners import controller_reference
from perennial.plan import Body
from perennial.pods import (
    RESTRICTED,
    agent_container,
    claim_mount,
    claim_mounts,
    claim_of,
    claim_volumes,
    literal,
    overlay,
    secured,
    tmp_volume,
)
from perennial.subject import read_json, read_spec
from perennial.trainingjob.pod import AGENT, PREPARE, TRAINING
from perennial.trainingjob.snapshot import MUTABLE, Snapshot, recovery_name

ROOT = "/perennial"
HOME = "/perennial-home"
LAUNCH = f"{ROOT}/bin/launch"
RESERVED_NAMES = {PREPARE, AGENT}
# They are part of an environment variable (at most 128 KiB, on Linux) and of an annotation (256 KiB with all others).
MAX_PARAMETERS = 64 * 1024


class InvalidSpec(Exception):
    """The spec cannot be rendered; the message names the field and the fix."""


def spec_hash(body: Body) -> str:
    """Identity of all of a spec that a Job is made from."""
    return _hash(_fixed(body))


def edited(job: Body | None, rendered: str, body: Body) -> bool:
    """Whether an object's spec says another thing than the one with the hash `rendered`, which its Job was made from.

    The schema of another release may fill in defaults: they change the hash, and not what is said.
    """
    now = _fixed(body)
    if _hash(now) == rendered:
        return False
    noted = read_json(((job or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION_SPEC, ""))
    if not isinstance(noted, dict):
        return True
    then = noted | {field: now[field] for field in ("template",) if field in now}
    # With this hash the note is what was rendered, and the template, which it leaves out, is as it was.
    said = read_spec(TrainingJobSpec, then)
    return _hash(then) != rendered or said[0] is None or said != read_spec(TrainingJobSpec, now)


def _hash(fixed: Body) -> str:
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def _fixed(body: Body) -> Body:
    return {field: value for field, value in (body.get("spec") or {}).items() if field not in MUTABLE}


def _told(spec: TrainingJobSpec, said: Body) -> Body:
    """What a spec says, without what may be secret in its addresses."""
    told = dict(said)
    if spec.inputs:
        told["inputs"] = [one.public().body() for one in spec.inputs]
    if spec.code:
        told["code"] = spec.code.public().body()
    return told


def destination(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> str:
    """Where the run publishes, but for the attempt."""
    base = spec.output.uri or config.defaults.output or f"pvc://{DEFAULT_CLAIM}"
    return f"{base.rstrip('/')}/{spec.model.name}/{snapshot.uid}"


def job(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> Body:
    """The Job of a run. InvalidSpec when the template, with its preset, makes no training pod."""
    template = _template(spec, config)
    pod = _pod(snapshot, spec, template.get("spec") or {}, config)
    metadata = template.get("metadata") or {}
    kept = _told(spec, {field: value for field, value in _fixed(snapshot.body).items() if field != "template"})
    annotations = {ANNOTATION_SPEC_HASH: spec_hash(snapshot.body), ANNOTATION_SPEC: json.dumps(kept, sort_keys=True)}
    if snapshot.champion:
        annotations[ANNOTATION_CHAMPION] = json.dumps(snapshot.champion.body())
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(snapshot, spec, snapshot.name) | {"annotations": annotations},
        "spec": {
            "backoffLimit": spec.backoff_limit,
            "completions": 1,
            "parallelism": 1,
            "suspend": False,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": {
                "metadata": {
                    **metadata,
                    "labels": {**(metadata.get("labels") or {}), **_labels(snapshot, spec)},
                },
                "spec": pod,
            },
        },
    }


def recovery(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> Body:
    """The Job that reads the result of a complete run whose message was lost."""
    where = destination(snapshot, spec, config)
    claims = _claims(where)
    container = agent_container(
        "recover",
        "recover",
        RecoverTask(destination=where),
        config,
        storage=spec.storage.secret_name if spec.storage else None,
        mounts=claim_mounts(claims, read_only=True),
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(snapshot, spec, recovery_name(snapshot.name)),
        "spec": {
            "backoffLimit": 3,
            "template": {
                "metadata": {"labels": _labels(snapshot, spec)},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {"fsGroup": RESTRICTED["runAsGroup"]},
                    "containers": [container],
                    "volumes": [*claim_volumes(claims), tmp_volume()],
                },
            },
        },
    }


def claim(namespace: str, config: Config) -> Body:
    """The namespace's claim for models, when nobody named an output."""
    chosen = config.defaults.claim
    spec: Body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": chosen.size}}}
    if chosen.storage_class_name:
        spec["storageClassName"] = chosen.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": DEFAULT_CLAIM, "namespace": namespace, "labels": {LABEL_OWNED: "true"}},
        "spec": spec,
    }


def _labels(snapshot: Snapshot, spec: TrainingJobSpec) -> dict[str, str]:
    return {LABEL_OWNED: "true", LABEL_TRAININGJOB: snapshot.name, LABEL_MODEL: spec.model.name}


def _metadata(snapshot: Snapshot, spec: TrainingJobSpec, name: str) -> Body:
    return {
        "name": name,
        "namespace": snapshot.namespace,
        "labels": _labels(snapshot, spec),
        "ownerReferences": [controller_reference(TRAININGJOBS, snapshot.name, snapshot.uid)],
    }


def _template(spec: TrainingJobSpec, config: Config) -> Body:
    if spec.runtime is None:
        return dict(spec.template)
    preset = config.training_runtimes.get(spec.runtime)
    if preset is None:
        known = ", ".join(sorted(config.training_runtimes)) or "none"
        raise InvalidSpec(f"spec.runtime: there is no training runtime {spec.runtime!r}; the operator has: {known}")
    return overlay(preset.template, spec.template)


def _pod(snapshot: Snapshot, spec: TrainingJobSpec, template: Body, config: Config) -> Body:
    containers = list(template.get("containers") or ())
    for place in ("containers", "initContainers"):
        for number, container in enumerate(template.get(place) or ()):
            if container.get("name") in RESERVED_NAMES:
                name = f"spec.template.spec.{place}[{number}].name"
                raise InvalidSpec(f"{name}: {container['name']!r} is Perennial's own; choose another")
    index = _training_index(containers)
    if template.get("restartPolicy") not in (None, "Never"):
        raise InvalidSpec(
            "spec.template.spec.restartPolicy: must be Never, or left out; spec.backoffLimit says how often a failed "
            "training is tried again"
        )
    pod = secured(template, config.defaults.pod_security) | {"restartPolicy": "Never"}
    containers = list(pod["containers"])
    training = dict(containers[index])
    managed = spec.output.mode is OutputMode.MANAGED
    if managed and not training.get("command"):
        raise InvalidSpec(
            f"spec.template.spec.containers[{index}].command: say the command; the image's own entrypoint cannot be "
            "seen from outside (or set output.mode: External)"
        )
    inputs = [Artifact(name=one.name, uri=one.uri, digest=one.digest) for one in spec.inputs]
    champion = snapshot.champion
    where = destination(snapshot, spec, config)
    prepare = PrepareTask(
        inputs=tuple(inputs),
        champion=Artifact(name="champion", uri=champion.uri, digest=champion.digest) if champion else None,
        parameters=spec.parameters,
        destination=where if managed else None,
    )
    read_claims = {found for one in inputs if (found := claim_of(one.uri))} | _claims(champion.uri if champion else "")
    write_claims = _claims(where) if managed else set()
    shared = {"name": "perennial", "mountPath": ROOT}
    storage = spec.storage.secret_name if spec.storage else None

    if managed:
        training["command"] = [LAUNCH, "--", *training["command"]]
    training["env"] = [*_environment(spec, champion), *(training.get("env") or ())]
    training["volumeMounts"] = [
        *(training.get("volumeMounts") or ()),
        shared,
        {"name": "perennial-home", "mountPath": HOME},
        *(claim_mount(one.uri, f"{ROOT}/inputs/{one.name}") for one in inputs if claim_of(one.uri)),
    ]
    # Its last words say why it ended, where it writes none to /dev/termination-log.
    training.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    containers[index] = training
    if managed:
        publish = PublishTask(
            destination=where, format=spec.model.format, publish_deadline_seconds=spec.publish_deadline_seconds
        )
        mounts = [shared, *claim_mounts(write_claims, read_only=False)]
        containers.append(agent_container(AGENT, "publish", publish, config, storage=storage, mounts=mounts))
    # The claim that is published to must be writable in `prepare` too, which tries the store before hours of training.
    mounts = [
        shared,
        *claim_mounts(read_claims - write_claims, read_only=True),
        *claim_mounts(write_claims, read_only=False),
    ]
    first = agent_container(PREPARE, "prepare", prepare, config, storage=storage, mounts=mounts)
    pod["initContainers"] = [first, *(pod.get("initContainers") or ())]
    pod["containers"] = containers
    pod["volumes"] = [
        *(pod.get("volumes") or ()),
        {"name": "perennial", "emptyDir": {}},
        {"name": "perennial-home", "emptyDir": {}},
        tmp_volume(),
        *claim_volumes(read_claims | write_claims),
    ]
    return pod


def _training_index(containers: list[Body]) -> int:
    if not containers:
        raise InvalidSpec("spec.template.spec.containers: name the training container and its image")
    if len(containers) == 1:
        return 0
    for index, container in enumerate(containers):
        if container.get("name") == TRAINING:
            return index
    raise InvalidSpec(
        f"spec.template.spec.containers: of several containers the training one must be named {TRAINING!r}"
    )


def _environment(spec: TrainingJobSpec, champion: Champion | None) -> list[Body]:
    values: dict[str, str] = {
        "PERENNIAL_OUTPUT_DIR": f"{ROOT}/output",
        "PERENNIAL_INPUTS_DIR": f"{ROOT}/inputs",
        "PERENNIAL_METRICS_FILE": f"{ROOT}/metrics.json",
        "PERENNIAL_PARAMETERS_FILE": f"{ROOT}/parameters.json",
        "HOME": HOME,
        "TMPDIR": HOME,
    } | ({"PERENNIAL_CHAMPION_DIR": f"{ROOT}/champion"} if champion else {})
    if len(json.dumps(spec.parameters)) > MAX_PARAMETERS:
        raise InvalidSpec(
            f"spec.parameters: more than {MAX_PARAMETERS // 1024} KiB as JSON; what is larger belongs into a file of "
            "spec.inputs"
        )
    sources: dict[str, str] = {}
    for name, value in spec.parameters.items():
        variable = "PERENNIAL_PARAM_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        if variable in sources:
            raise InvalidSpec(
                f"spec.parameters: {sources[variable]!r} and {name!r} are both {variable}; rename one of them"
            )
        sources[variable] = name
        values[variable] = _text(value)
    return [{"name": name, "value": literal(value)} for name, value in values.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _claims(uri: str) -> set[str]:
    found = claim_of(uri)
    return {found} if found else set()
