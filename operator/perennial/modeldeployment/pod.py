"""The pod of a revision: the preset under the user's template, the model fetched before the server starts."""

from collections.abc import Mapping
from typing import Any

from perennial.api.meta import LABEL_MODEL, LABEL_MODEL_VERSION, LABEL_MODELDEPLOYMENT, LABEL_OWNED, LABEL_REVISION
from perennial.api.modeldeployment import ModelDeploymentSpec
from perennial.api.task import Artifact, FetchTask
from perennial.config import Config, ServingRuntime
from perennial.modeldeployment import requestlog
from perennial.modeldeployment.revision import Model
from perennial.plan import Body
from perennial.pods import (
    agent_container,
    claim_mounts,
    claim_of,
    claim_volumes,
    literals,
    overlay,
    secured,
    tmp_volume,
)

AUTO = "auto"
SERVER = "server"
FETCH = "fetch"
PORT_NAME = "http"
DEFAULT_PORT = 8080
MODEL_DIR = "/perennial/model"
_VOLUME = "perennial-model"
_GRACE_PERIOD_SECONDS = 60
_DRAIN_SECONDS = 5


class Unrenderable(Exception):
    """The spec makes no pod; the message names the field and the fix."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def runtime_of(spec: ModelDeploymentSpec, format_: str, runtimes: Mapping[str, ServingRuntime]) -> str | None:
    """The preset that the user's template is laid over; None when that brings a server of its own. Unrenderable when
    there is nothing to serve the format with."""
    for place in ("containers", "initContainers"):
        for taken in sorted({FETCH, requestlog.SHIP} & _containers(spec.template, place)):
            name = f"spec.template.spec.{place}.name"
            raise Unrenderable("NameTaken", f"{name}: {taken!r} is Perennial's own; choose another")
    own, preset = _containers(spec.template), _preset(spec, format_, runtimes)
    template = runtimes[preset].template if preset else {}
    if own or _containers(template):
        # A template that names none of an automatic preset's containers does not adapt the preset: it replaces it.
        replaces = spec.runtime == AUTO and own and not own & _containers(template)
        return None if replaces else preset
    known = ", ".join(sorted(runtimes)) or "none"
    raise Unrenderable(
        "NoRuntime",
        f"{'spec.model.format: ' if spec.model.uri else ''}no serving runtime takes the format {format_!r}; there are: "
        f"{known}. Name one in spec.runtime, or give spec.template with a server of your own",
    )


def _preset(spec: ModelDeploymentSpec, format_: str, runtimes: Mapping[str, ServingRuntime]) -> str | None:
    if spec.runtime == AUTO:
        return next((name for name in sorted(runtimes) if format_ in runtimes[name].formats), None)
    if spec.runtime in runtimes:
        return spec.runtime
    known = ", ".join(sorted(runtimes)) or "none"
    raise Unrenderable(
        "UnknownRuntime", f"spec.runtime: there is no serving runtime {spec.runtime!r}; there are: {known}"
    )


def _containers(template: Mapping[str, Any], place: str = "containers") -> set[str]:
    return {container["name"] for container in (template.get("spec") or {}).get(place) or ()}


def pod_template(
    namespace: str, deployment: str, spec: ModelDeploymentSpec, model: Model, revision: str, config: Config
) -> Body:
    """The pod template of a revision. Unrenderable when the spec makes none."""
    runtime = runtime_of(spec, model.format, config.serving_runtimes)
    base = config.serving_runtimes[runtime].template if runtime else {}
    template = overlay(base, spec.template)
    pod = secured(template.get("spec") or {}, config.defaults.pod_security)
    containers = pod["containers"]
    server = next((one for one in containers if one["name"] == SERVER), containers[0])
    pod["containers"] = [
        _server(one, deployment, spec, model, revision) if one is server else one for one in containers
    ]
    pod["initContainers"] = [_fetch(deployment, spec, model, config), *(pod.get("initContainers") or ())]
    claims, ours = _claims(model), [{"name": _VOLUME, "emptyDir": {}}, tmp_volume()]
    if spec.request_log:
        pod["initContainers"].append(requestlog.sidecar(spec.request_log, namespace, deployment, config))
        ours.append(requestlog.VOLUME)
        claims = sorted({*claims, *requestlog.claims(spec.request_log)})
    ours += claim_volumes(claims)
    pod["volumes"] = [*(pod.get("volumes") or ()), *ours]
    if pod.get("terminationGracePeriodSeconds") is None:
        pod["terminationGracePeriodSeconds"] = _GRACE_PERIOD_SECONDS
    if not base:
        _drain(pod["containers"], pod["terminationGracePeriodSeconds"])
    pod.setdefault("topologySpreadConstraints", _spread(revision))
    if not pod.get("serviceAccountName"):
        # A server has no business with the Kubernetes API; one that has says under which account.
        pod.setdefault("automountServiceAccountToken", False)
    metadata = template.get("metadata") or {}
    labels = (metadata.get("labels") or {}) | revision_labels(deployment, model, revision)
    return {"metadata": {**metadata, "labels": labels}, "spec": pod}


def _drain(containers: list[Body], grace: Any) -> None:
    """Have servers of one's own go on for a while when their pod ends, since nodes learn late that it does. Presets say
    themselves how they drain."""
    # What is no number of seconds the API server refuses, by its name.
    seconds = min(_DRAIN_SECONDS, grace - 1) if isinstance(grace, int) else 0
    for container in containers:
        if seconds > 0:
            container.setdefault("lifecycle", {"preStop": {"sleep": {"seconds": seconds}}})


def _spread(revision: str) -> list[Body]:
    """Over nodes and zones, as far as that goes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {LABEL_REVISION: revision}},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def revision_labels(deployment: str, model: Model, revision: str) -> dict[str, str]:
    """The labels of a revision's Deployment and pods."""
    labels = {LABEL_OWNED: "true", LABEL_MODELDEPLOYMENT: deployment, LABEL_REVISION: revision}
    if model.name is not None:
        labels |= {LABEL_MODEL: model.name, LABEL_MODEL_VERSION: str(model.version)}
    return labels


def _server(container: Body, deployment: str, spec: ModelDeploymentSpec, model: Model, revision: str) -> Body:
    env = {
        "PERENNIAL_MODEL_DIR": MODEL_DIR,
        "PERENNIAL_MODEL_NAME": model.name or deployment,
        "PERENNIAL_MODEL_VERSION": "" if model.version is None else str(model.version),
        "PERENNIAL_MODEL_FORMAT": model.format,
        "PERENNIAL_REVISION": revision,
        "PERENNIAL_DEPLOYMENT": deployment,
    }
    mounts: list[Body] = [{"name": _VOLUME, "mountPath": MODEL_DIR, "readOnly": True}]
    if spec.request_log:
        env |= requestlog.environment(spec.request_log)
        mounts.append(requestlog.MOUNT)
    merged = overlay(container, {"volumeMounts": mounts})
    # First, since a variable may refer to those before it.
    merged["env"] = [
        *literals(env),
        *(variable for variable in container.get("env") or () if variable["name"] not in env),
    ]
    merged["ports"] = _ports(container.get("ports") or [])
    # Its last words say why it ended, where it writes none to /dev/termination-log.
    merged.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    return merged


def _ports(ports: list[Body]) -> list[Body]:
    """With a port named `http`, by which the Service finds it: revisions may listen on different ones."""
    if any(port.get("name") == PORT_NAME for port in ports):
        return ports
    first, rest = (ports[0], ports[1:]) if ports else ({"containerPort": DEFAULT_PORT}, [])
    if not first.get("name"):
        return [first | {"name": PORT_NAME}, *rest]
    return [*ports, {"name": PORT_NAME, "containerPort": first["containerPort"]}]


def _fetch(deployment: str, spec: ModelDeploymentSpec, model: Model, config: Config) -> Body:
    artifact = Artifact(name=model.name or deployment, uri=model.uri, digest=model.digest)
    task = FetchTask(model=artifact, target=MODEL_DIR, cache=config.model_cache)
    mounts = [{"name": _VOLUME, "mountPath": MODEL_DIR}, *claim_mounts(_claims(model), read_only=True)]
    return agent_container(FETCH, FETCH, task, config, storage=model.storage_for(spec), mounts=mounts)


def _claims(model: Model) -> list[str]:
    claim = claim_of(model.uri)
    return [claim] if claim else []
