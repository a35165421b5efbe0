"""JSON Schemas of manifests, ours and Kubernetes' own, that refuse unknown fields, for kubeconform and jsonschema."""

import json
from pathlib import Path
from typing import Any

from e2e.cluster import tools
from perennial.api.crds import KINDS, crd

Schema = dict[str, Any]

_DEFINITIONS = "definitions.json"
# As kubeconform fills it in: for the core group, whose apiVersion has no slash, the version stands for the group.
LOCATION = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
_TYPED_LIKE_A_STRING = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ["integer", "string"],
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["number", "string"],
}


def ours() -> dict[str, Schema]:
    """The schema of each kind of ours, from its CustomResourceDefinition, by kind."""
    return {
        kind.resource.kind: _strict(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) for kind in KINDS
    }


def _strict(schema: Schema) -> Schema:
    """As the API server reads it with `fieldValidation=Strict`."""
    strict = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    for bound in ("Minimum", "Maximum"):
        if strict.pop(f"exclusive{bound}", False):
            strict[f"exclusive{bound}"] = strict.pop(bound.lower())
    if "items" in strict:
        strict["items"] = _strict(strict["items"])
    if isinstance(strict.get("additionalProperties"), dict):
        strict["additionalProperties"] = _strict(strict["additionalProperties"])
    if "properties" in strict:
        strict["properties"] = {name: _strict(child) for name, child in strict["properties"].items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    # `metadata` is an object of which nothing is said.
    if schema.get("properties") and not open_ended:
        strict["additionalProperties"] = False
    return strict


def write(folder: Path) -> None:
    """Write the schemas of all kinds into a folder, named as LOCATION says. Kubernetes' come from its Go module."""
    kubernetes = tools.source("kubectl", "k8s.io/kubernetes")
    definitions = json.loads((kubernetes / "api" / "openapi-spec" / "swagger.json").read_text())["definitions"]
    for name, definition in definitions.items():
        if name in _TYPED_LIKE_A_STRING:
            definition["type"] = _TYPED_LIKE_A_STRING[name]
        elif "properties" in definition and "additionalProperties" not in definition:
            definition["additionalProperties"] = False
    (folder / _DEFINITIONS).write_text(json.dumps({"definitions": definitions}))
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            reference = {"$ref": f"{_DEFINITIONS}#/definitions/{name}"}
            _file(folder, kind["group"], kind["kind"], kind["version"]).write_text(json.dumps(reference))
    schemas = ours()
    for kind in KINDS:
        resource = kind.resource
        path = _file(folder, resource.group, resource.kind, resource.version)
        path.write_text(json.dumps(schemas[resource.kind]))


def _file(folder: Path, group: str, kind: str, version: str) -> Path:
    return folder / f"{group or version}_{kind.lower()}_{version}.json"
