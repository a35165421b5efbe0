"""What the pods that Perennial makes have in common: agent containers, claims, security, presets under templates."""

from collections.abc import Iterable, Mapping
from typing import Any

from perennial.api.meta import DEFAULT_STORAGE_SECRET
from perennial.api.task import (
    ATTEMPT_ENV,
    TASK_ENV,
    Task,
)
from perennial.config import Config, PodSecurity
from perennial.plan import Body

CLAIMS_DIR = "/perennial-volumes"
# Steps of the agent that need libraries which only the image `drift` has.
_BY_NUMBERS = ("detect", "drift", "evaluate")

# Lists of a pod template that are merged by the name of their items; every other list is replaced as a whole.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}

RESTRICTED: Body = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> Body:
    """`over` laid over `base`: maps are merged, containers, env, volumes and the like by name, the rest is replaced."""
    merged = dict(base)
    for field, value in over.items():
        below = merged.get(field)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[field] = overlay(below, value)
        elif field in _KEYS and isinstance(value, list) and isinstance(below, list):
            merged[field] = _by_key(below, value, _KEYS[field])
        else:
            merged[field] = value
    return merged


def _by_key(base: list[Body], over: list[Body], key: str) -> list[Body]:
    items = {item.get(key): item for item in base}
    for item in over:
        below = items.get(item.get(key))
        items[item.get(key)] = overlay(below, item) if below is not None else item
    return list(items.values())


def claim_of(uri: str) -> str | None:
    """The claim's name of `pvc://claim/path`; None for any other store."""
    return uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else None


def path_in_claim(uri: str) -> str:
    """The path of `pvc://claim/path` inside its claim, without slashes around it; empty for the whole claim."""
    return uri.removeprefix("pvc://").partition("/")[2].strip("/")


def claim_volumes(claims: Iterable[str]) -> list[Body]:
    """A volume for each claim, in a stable order."""
    return [{"name": _volume(claim), "persistentVolumeClaim": {"claimName": claim}} for claim in sorted(set(claims))]


def claim_mounts(claims: Iterable[str], *, read_only: bool) -> list[Body]:
    """Where the agent's containers find each claim."""
    return [
        {"name": _volume(claim), "mountPath": f"{CLAIMS_DIR}/{claim}"} | ({"readOnly": True} if read_only else {})
        for claim in sorted(set(claims))
    ]


def claim_mount(uri: str, mount_path: str) -> Body:
    """A read-only mount of one path of a claim in a user's container."""
    mount = {"name": _volume(claim_of(uri) or ""), "mountPath": mount_path, "readOnly": True}
    path = path_in_claim(uri)
    return mount | ({"subPath": path} if path else {})


def _volume(claim: str) -> str:
    return f"claim-{claim}"[:63].rstrip("-.").replace(".", "-")


def literals(values: Mapping[str, str]) -> list[Body]:
    """Environment variables that the kubelet does not expand: it reads `$(NAME)` in a value as a reference."""
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items()]


def agent_container(
    name: str,
    command: str,
    task: Task,
    config: Config,
    *,
    storage: str | None,
    mounts: Iterable[Body],
) -> Body:
    """A container of the agent that does one task. `storage` names the Secret with the store's credentials."""
    secret = {"name": storage} if storage else {"name": DEFAULT_STORAGE_SECRET, "optional": True}
    return {
        "name": name,
        "image": config.images.drift if command in _BY_NUMBERS else config.images.agent,
        "imagePullPolicy": config.images.pull_policy,
        "args": [command],
        "env": [
            *literals({TASK_ENV: task.to_json()}),
            {"name": ATTEMPT_ENV, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "envFrom": [{"secretRef": secret}],
        "resources": config.defaults.agent_resources,
        "securityContext": RESTRICTED,
        "volumeMounts": [*mounts, {"name": "perennial-tmp", "mountPath": "/tmp"}],
    }


def tmp_volume() -> Body:
    """What the agent's containers have for /tmp, their own root being read-only."""
    return {"name": "perennial-tmp", "emptyDir": {}}


def secured(spec: Mapping[str, Any], security: PodSecurity) -> Body:
    """A user's pod spec with the configured security where it says nothing itself."""
    pod = {
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
        "seccompProfile": {"type": security.seccomp_profile} if security.seccomp_profile else None,
    }
    result = dict(spec)
    result["securityContext"] = _set(pod) | dict(spec.get("securityContext") or {})
    for field in ("initContainers", "containers"):
        if spec.get(field):
            result[field] = [one | {"securityContext": _of_container(one, security)} for one in spec[field]]
    return result


def _of_container(container: Mapping[str, Any], security: PodSecurity) -> Body:
    own = dict(container.get("securityContext") or {})
    # Kubernetes refuses both together, in words about a field that the user never wrote.
    added = (own.get("capabilities") or {}).get("add") or ()
    if own.get("privileged") or {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(added):
        return own
    return _set({"allowPrivilegeEscalation": security.allow_privilege_escalation}) | own


def _set(values: Mapping[str, Any]) -> Body:
    return {field: value for field, value in values.items() if value is not None}
