"""The pod of a run: the user's template over its preset, and the run contract around it (see docs/run-contract.md)."""

from dataclasses import dataclass

from perennial.api.meta import ANNOTATION_RUNTIME
from perennial.api.task import Artifact, PrepareTask, PublishTask
from perennial.api.trainingjob import OutputMode, TrainingJobSpec
from perennial.config import Config
from perennial.plan import Body
from perennial.pods import (
    agent_container,
    claim_mount,
    claim_mounts,
    claim_of,
    claim_volumes,
    secured,
    tmp_volume,
)
from perennial.subject import read_json
from perennial.trainingjob.environment import variables
from perennial.trainingjob.environment.contract import HOME, ROOT
from perennial.trainingjob.gang import service_name
from perennial.trainingjob.pod import AGENT, PREPARE, TRAINING
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.spec import InvalidSpec, destination

LAUNCH = f"{ROOT}/bin/launch"
RESERVED_NAMES = {PREPARE, AGENT}
_SHARED = {"name": "perennial", "mountPath": ROOT}


def preset(snapshot: Snapshot, spec: TrainingJobSpec, config: Config) -> Body | None:
    """The pod template of the preset: as the attempt before was made of it, else as it is now; None without one.

    InvalidSpec when there is no such preset.
    """
    if spec.runtime is None:
        return None
    noted = read_json(((snapshot.job or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION_RUNTIME, ""))
    if isinstance(noted, dict):
        return noted
    found = config.training_runtimes.get(spec.runtime)
    if found is None:
        known = ", ".join(sorted(config.training_runtimes)) or "none"
        raise InvalidSpec(f"spec.runtime: there is no training runtime {spec.runtime!r}; the operator has: {known}")
    return found.template


def pod(snapshot: Snapshot, spec: TrainingJobSpec, asked: Body, config: Config) -> Body:
    """The PodSpec of a run, from the one that is asked for. InvalidSpec when it makes no training pod."""
    index = _checked(spec, asked)
    run = _Run(snapshot, spec, config)
    made = secured(asked, config.defaults.pod_security) | {"restartPolicy": "Never"}
    containers = list(made["containers"])
    containers[index] = _training(run, containers[index])
    made["containers"] = [*containers, _agent(run)] if run.managed else containers
    made["initContainers"] = [_prepare(run), *(made.get("initContainers") or ())]
    if spec.distribution:
        made["subdomain"] = service_name(snapshot.name)
    made["volumes"] = [
        *(made.get("volumes") or ()),
        {"name": "perennial", "emptyDir": {}},
        {"name": "perennial-home", "emptyDir": {}},
        tmp_volume(),
        *claim_volumes(run.read_claims | run.write_claims),
    ]
    return made


def claims_of(*uris: str) -> set[str]:
    """The volume claims that URIs name."""
    return {claim for uri in uris if (claim := claim_of(uri))}


@dataclass(frozen=True, slots=True)
class _Run:
    """What the containers of a run are made from."""

    snapshot: Snapshot
    spec: TrainingJobSpec
    config: Config

    @property
    def managed(self) -> bool:
        """Whether the agent publishes."""
        return self.spec.output.mode is OutputMode.MANAGED

    @property
    def destination(self) -> str:
        return destination(self.snapshot, self.spec, self.config)

    @property
    def storage(self) -> str | None:
        return self.spec.storage.secret_name if self.spec.storage else None

    @property
    def champion(self) -> Artifact | None:
        champion = self.snapshot.champion
        return Artifact(name="champion", uri=champion.uri, digest=champion.digest) if champion else None

    @property
    def read_claims(self) -> set[str]:
        return claims_of(*(one.uri for one in self.spec.inputs), *([self.champion.uri] if self.champion else []))

    @property
    def write_claims(self) -> set[str]:
        return claims_of(self.destination) if self.managed else set()


def _checked(spec: TrainingJobSpec, asked: Body) -> int:
    """Which of the containers trains. InvalidSpec names what a template must not have, or lacks."""
    for place in ("containers", "initContainers"):
        for number, container in enumerate(asked.get(place) or ()):
            if container.get("name") in RESERVED_NAMES:
                name = f"spec.template.spec.{place}[{number}].name"
                raise InvalidSpec(f"{name}: {container['name']!r} is Perennial's own; choose another")
    containers = list(asked.get("containers") or ())
    index = _training_index(containers)
    if asked.get("restartPolicy") not in (None, "Never"):
        raise InvalidSpec(
            "spec.template.spec.restartPolicy: must be Never, or left out; spec.backoffLimit says how often a failed "
            "training is tried again"
        )
    for field in ("hostname", "subdomain"):
        if spec.distribution and asked.get(field):
            raise InvalidSpec(f"spec.template.spec.{field}: the nodes of a run have names of their own; leave it out")
    if spec.output.mode is OutputMode.MANAGED and not containers[index].get("command"):
        raise InvalidSpec(
            f"spec.template.spec.containers[{index}].command: say the command; the image's own entrypoint cannot be "
            "seen from outside (or set output.mode: External)"
        )
    return index


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


def _training(run: _Run, asked: Body) -> Body:
    container = dict(asked)
    if run.managed:
        container["command"] = [LAUNCH, "--", *container["command"]]
    container["env"] = variables(run.snapshot, run.spec, container.get("env") or ())
    container["volumeMounts"] = [
        *(container.get("volumeMounts") or ()),
        _SHARED,
        {"name": "perennial-home", "mountPath": HOME},
        *(claim_mount(one.uri, f"{ROOT}/inputs/{one.name}") for one in run.spec.inputs if claim_of(one.uri)),
    ]
    # Its last words say why it ended, where it writes none to /dev/termination-log.
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return container


def _prepare(run: _Run) -> Body:
    task = PrepareTask(
        inputs=tuple(Artifact(name=one.name, uri=one.uri, digest=one.digest) for one in run.spec.inputs),
        champion=run.champion,
        parameters=run.spec.parameters,
        destination=run.destination if run.managed else None,
    )
    # The claim that is published to must be writable here too: the store is tried before hours of training.
    mounts = [
        _SHARED,
        *claim_mounts(run.read_claims - run.write_claims, read_only=True),
        *claim_mounts(run.write_claims, read_only=False),
    ]
    return agent_container(PREPARE, "prepare", task, run.config, storage=run.storage, mounts=mounts)


def _agent(run: _Run) -> Body:
    task = PublishTask(
        destination=run.destination,
        format=run.spec.model.format,
        publish_deadline_seconds=run.spec.publish_deadline_seconds,
    )
    mounts = [_SHARED, *claim_mounts(run.write_claims, read_only=False)]
    return agent_container(AGENT, "publish", task, run.config, storage=run.storage, mounts=mounts)
