"""From a typed model to a structural schema: the JSON Schema dialect of CustomResourceDefinitions."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from perennial.api.rules import RULES

Schema = dict[str, Any]

# What both dialects mean alike. All that is left is named below, or is an error.
_KEPT = {
    "type",
    "description",
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "nullable",
    "required",
}
# What is turned into something else below.
_TURNED = {"title", "$defs", "properties", "items", "additionalProperties", "patternProperties", "propertyNames"} | {
    "const",
    "anyOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
}
_PASSED = "x-kubernetes-"
# Key of a field's `json_schema_extra`: the field holds what a model of that name describes.
MODEL = "$perennial"


class SchemaError(Exception):
    """A model that cannot be said in a structural schema, or a field without words."""


def structural(model: type[BaseModel], *, defaults: bool = True, models: Iterable[type[BaseModel]] = ()) -> Schema:
    """The schema of a model, references inlined.

    defaults: whether the API server fills in defaults; a status has none, since it shows only what was written.
    models: what fields marked with MODEL may name.
    Raises SchemaError, naming the field, when a field has no description or has something that cannot be said.
    """
    document = model.model_json_schema(by_alias=True)
    named = {other.__name__: other for other in models}
    return _Walk(document.get("$defs", {}), named, defaults).schema(document, model.__name__)


class _Walk:
    def __init__(self, definitions: Mapping[str, Schema], models: Mapping[str, type[BaseModel]], defaults: bool):
        self._definitions = definitions
        self._models = models
        self._defaults = defaults

    def schema(self, node: Schema, path: str) -> Schema:
        node = self._resolved(node, path)
        result = {key: value for key, value in node.items() if key in _KEPT or key.startswith(_PASSED)}
        if unknown := node.keys() - result.keys() - _TURNED - {"default"}:
            raise SchemaError(f"{path}: {', '.join(sorted(unknown))} cannot be said in a structural schema")
        default = _pruned(node.get("default"))
        if self._defaults and default not in (None, "", [], {}):
            result["default"] = default
        if properties := node.get("properties"):
            result["properties"] = self._properties(properties, path)
        if "items" in node:
            result["items"] = self.schema(node["items"], f"{path}[]")
        if "const" in node:
            result["enum"] = [node["const"]]
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            if exclusive in node:
                result |= {bound: node[exclusive], exclusive: True}
        least = result.get("minimum")
        if isinstance(least, float) and not least.is_integer():
            # The API server cuts such a bound to a whole number where it is given one.
            result[RULES] = [
                *result.get(RULES, ()),
                {"rule": f"self >= {least}", "message": f"must be at least {least:g}"},
            ]
        return result | self._map(node, path) | self._choice(node, path)

    def _resolved(self, node: Schema, path: str) -> Schema:
        """Without references and `null` alternatives; what the field itself says wins over what its type says."""
        if name := node.get(MODEL):
            if name not in self._models:
                raise SchemaError(f"{path}: no model {name}")
            inlined = structural(self._models[name], defaults=self._defaults, models=self._models.values())
            return inlined | {key: node[key] for key in ("description",) if key in node}
        if reference := node.get("$ref"):
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return self._resolved(self._definitions[reference.rpartition("/")[2]] | rest, path)
        choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            rest = {key: value for key, value in node.items() if key != "anyOf"}
            return self._resolved(choices[0] | rest, path)
        return node

    def _properties(self, properties: Mapping[str, Schema], path: str) -> Schema:
        schemas = {name: self.schema(child, f"{path}.{name}") for name, child in properties.items()}
        for name, schema in schemas.items():
            if not schema.get("description"):
                raise SchemaError(f"{path}.{name}: the field has no description")
        return schemas

    def _map(self, node: Schema, path: str) -> Schema:
        """A map's values; the form of its keys is a CEL rule, where a bound on the map gives the rule a price."""
        if "patternProperties" in node:
            ((pattern, values),) = node["patternProperties"].items()
            result: Schema = {"additionalProperties": self.schema(values, f"{path}.*")}
            longest = node.get("propertyNames", {}).get("maxLength")
            if "maxProperties" in node and longest:
                form = {
                    "rule": f"self.all(key, size(key) <= {longest} && key.matches(r'{pattern}'))",
                    "message": f"each name has at most {longest} characters and the form {pattern}",
                }
                result[RULES] = [*node.get(RULES, ()), form]
            return result
        if values := node.get("additionalProperties"):
            return {
                "additionalProperties": {f"{_PASSED}preserve-unknown-fields": True}
                if values is True
                else self.schema(values, f"{path}.*")
            }
        return {}

    @staticmethod
    def _choice(node: Schema, path: str) -> Schema:
        if "anyOf" in node and not node.get(f"{_PASSED}int-or-string"):
            raise SchemaError(f"{path}: a choice of types cannot be said in a structural schema")
        return {"anyOf": node["anyOf"]} if "anyOf" in node else {}


def _pruned(value: Any) -> Any:
    """A default without what it does not set."""
    if isinstance(value, dict):
        return {key: _pruned(child) for key, child in value.items() if child is not None}
    return value
