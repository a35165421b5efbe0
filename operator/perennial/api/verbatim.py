"""Kubernetes' own objects inside of ours; declared is what is read of them, so that it has the form it is taken for."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from perennial.api.base import MAP_BY_NAME

_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
# Kubernetes' own words, for an object of its own. The API server checks them when that is made.
Verbatim = Annotated[dict[str, Any], WithJsonSchema(_OPEN)]


def _list(words: str, items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "nullable": True, "maxItems": most, "items": items, "description": words}


def _named(words: str) -> dict[str, Any]:
    name = {"type": "string", "maxLength": 253, "description": words}
    return _OPEN | {"required": ["name"], "properties": {"name": name}}


def _texts(words: str, longest: int) -> dict[str, Any]:
    text = {"type": "string", "maxLength": longest}
    return {"type": "object", "nullable": True, "maxProperties": 64, "additionalProperties": text, "description": words}


_VARIABLE = _named("Name of the variable.")
_VARIABLE["properties"] |= {
    "value": {"type": "string", "nullable": True, "maxLength": 131072, "description": "Its value: a text."}
}
_QUANTITY = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
    "maxLength": 64,
}
_QUANTITIES = {"type": "object", "nullable": True, "maxProperties": 64, "additionalProperties": _QUANTITY}
_RESOURCES = {
    "requests": _QUANTITIES | {"description": "What is kept free for it."},
    "limits": _QUANTITIES | {"description": "What it may take at most."},
}
_SECURITY = _OPEN | {"nullable": True, "description": "A SecurityContext."}
_CONTAINER_FIELDS: dict[str, Any] = {
    "name": {"type": "string", "maxLength": 63, "description": "Name of the container."},
    "image": {
        "type": "string",
        "pattern": r"^[^ \t\n\r]+$",
        "maxLength": 1024,
        "description": "Image of the container.",
    },
    "command": {
        "type": "array",
        "maxItems": 256,
        "items": {"type": "string", "maxLength": 131072},
        "description": "Program and first arguments. The image's own entrypoint cannot be seen from outside.",
    },
    "env": _list("Environment variables.", _VARIABLE, 1024),
    "ports": _list("Ports that it listens on.", _OPEN, 64),
    "volumeMounts": _list("Where it finds the volumes.", _OPEN, 256),
    "resources": _OPEN | {"nullable": True, "description": "What it needs of a node.", "properties": _RESOURCES},
    "securityContext": _SECURITY,
}
_POD_CONTAINER = _OPEN | {"required": ["name"], "properties": _CONTAINER_FIELDS}

_POD_METADATA = _OPEN | {
    "nullable": True,
    "description": "Metadata of the pods.",
    "properties": {
        "labels": _texts("Labels of the pods.", 63),
        "annotations": _texts("Annotations of the pods.", 262144),
    },
}

# What a CEL rule or the operator reads is declared, so that it has the form that they take it to have.
POD_TEMPLATE_SCHEMA = {
    "type": "object",
    "properties": {
        "metadata": _POD_METADATA,
        "spec": _OPEN
        | {
            "description": "A PodSpec; the API server checks the pods that are made of it.",
            "properties": {
                "containers": {
                    "type": "array",
                    "maxItems": 16,
                    "items": _POD_CONTAINER,
                    "description": "The containers of the pod.",
                }
                | MAP_BY_NAME,
                "initContainers": _list("Containers that run before the others.", _POD_CONTAINER, 16),
                "volumes": _list("Volumes of the pod.", _named("Name of the volume."), 256),
                "imagePullSecrets": _list("Secrets of registries.", _OPEN, 64),
                "securityContext": _SECURITY,
            },
        },
    },
}

# The least of it that the operator reads, for a pod that only runs and ends.
_RUN_CONTAINER = _OPEN | {
    "required": ["name", "image"],
    "properties": {name: _CONTAINER_FIELDS[name] for name in ("name", "image", "env", "securityContext")},
}
RUN_TEMPLATE_SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "metadata": _POD_METADATA,
        "spec": _OPEN
        | {
            "description": "A PodSpec; the API server checks the rest of it.",
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 16,
                    "items": _RUN_CONTAINER,
                    "description": "The containers of the pod.",
                }
                | MAP_BY_NAME,
                "initContainers": _list("Containers that run before the others.", _RUN_CONTAINER, 16),
                "restartPolicy": {"type": "string", "enum": ["Never"], "description": "Never, said or not."},
                "securityContext": _SECURITY,
            },
        },
    },
}
RunTemplate = Annotated[dict[str, Any], WithJsonSchema(RUN_TEMPLATE_SCHEMA)]

# A PodTemplateSpec. The API server checks the rest of it when a pod is made.
PodTemplate = Annotated[dict[str, Any], WithJsonSchema(POD_TEMPLATE_SCHEMA)]
