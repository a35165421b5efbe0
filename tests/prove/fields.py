"""What people do with every field of the CustomResourceDefinitions, made from their schemas: a field that is added
later has its operations by itself. What no schema can know (a time zone, a field that excludes another) is in
`known.py`.

A path names a field as a refusal does, but for the indexes: `spec.inputs[].uri`, `spec.metrics.*`.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from perennial.api.crds import crds
from tests.prove.texts import text

Schema = dict[str, Any]
Body = dict[str, Any]

# As a value: the field is taken away.
ABSENT: Any = object()
KEY = "key"
# What has no bound is tried with so much.
_MANY, _HUGE = 4, 2**40


class Sort(StrEnum):
    """What is done with a field."""

    ABSENT = "absent"
    BOUNDARY = "boundary"
    WRONG = "wrong"
    CHANGED = "changed later"


@dataclass(frozen=True)
class Leaf:
    """A field that holds a value; also a list or a map, for its own bounds."""

    kind: str
    path: str
    schema: Schema = field(repr=False, compare=False)
    required: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


@dataclass(frozen=True)
class Wrong:
    """A value that is misuse for a reason that no schema says. `names`: what is named of it, if not the field."""

    value: Any
    names: str = ""
    also: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What is known of a leaf besides its schema.

    `good` are values that are right, instead of those that the schema suggests; `unrun` right ones that are not run;
    `wrong` is further misuse. `also`: other fields that it needs beside it. `needed`: a rule wants it to be
    there, and names this when it is not. `form`: the schema says only what form it has, not what is right.
    """

    good: tuple[Any, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    also: Mapping[str, Any] = field(default_factory=dict)
    needed: str = ""
    unrun: tuple[Any, ...] = ()
    form: bool = False


@dataclass(frozen=True, eq=False)
class Operation:
    """One thing that somebody does with a field."""

    leaf: Leaf
    sort: Sort
    value: Any
    misuse: bool
    also: Mapping[str, Any] = field(default_factory=dict)
    names: str = ""
    run: bool = True

    def __str__(self) -> str:
        shown = "absent" if self.value is ABSENT else repr(self.value)
        shown = shown if len(shown) <= 60 else f"{shown[:50]}... ({len(shown)})"
        return f"{self.leaf}: {self.sort}: {shown}{' (misuse)' if self.misuse else ''}"

    def on(self, base: Body) -> Body:
        """A copy of this manifest, with the operation done to it."""
        body = copy.deepcopy(base)
        for path, value in self.also.items():
            put(body, self.leaf.kind, path, value)
        put(body, self.leaf.kind, self.leaf.path, self.value)
        return body


@cache
def written(kind: str) -> tuple[str, Schema]:
    """What people write of a kind: `spec` and its schema; `status` of a record that has no spec."""
    crd = next(crd for crd in crds().values() if crd["spec"]["names"]["kind"] == kind)
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    part = "spec" if "spec" in properties else "status"
    return part, properties[part]


@cache
def kinds() -> list[str]:
    """Every kind."""
    return [crd["spec"]["names"]["kind"] for crd in crds().values()]


def leaves(kind: str) -> Iterator[Leaf]:
    """Every leaf that people write. Where everything goes, that is one leaf with the map that holds it."""
    yield from _leaves(kind, *written(kind), required=True)


def nodes(kind: str) -> Iterator[str]:
    """The path of every object in which an unknown field is an error."""
    yield from _nodes(*written(kind))


def _nodes(path: str, schema: Schema) -> Iterator[str]:
    if "properties" in schema:
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield path
        for name, child in schema["properties"].items():
            yield from _nodes(f"{path}.{name}", child)
    elif "items" in schema:
        yield from _nodes(f"{path}[]", schema["items"])


def _leaves(kind: str, path: str, schema: Schema, *, required: bool) -> Iterator[Leaf]:
    if schema.get("properties"):
        one_of = any("exists_one(given" in one["rule"] for one in schema.get("x-kubernetes-validations", ()))
        for name, child in schema["properties"].items():
            yield from _leaves(kind, f"{path}.{name}", child, required=one_of or name in schema.get("required", ()))
        return
    yield Leaf(kind, path, schema, required)
    if "items" in schema:
        yield from _leaves(kind, f"{path}[]", schema["items"], required=False)
    elif (schema.get("additionalProperties") or {}).get("type"):
        yield from _leaves(kind, f"{path}.*", schema["additionalProperties"], required=False)


def operations(leaf: Leaf, known: Known) -> list[Operation]:
    """What is done with a leaf: what its schema suggests, and what is known of it besides."""
    good = known.good or tuple(_good(leaf.schema))
    # An item cannot be missed.
    optional = not (leaf.required or known.needed)
    made = (
        []
        if leaf.path.endswith(("[]", ".*"))
        else [Operation(leaf, Sort.ABSENT, ABSENT, not optional, known.also, known.needed, not known.form)]
    )
    made += [Operation(leaf, Sort.BOUNDARY, value, False, known.also, run=not known.form) for value in good]
    made += [Operation(leaf, Sort.BOUNDARY, value, False, known.also, run=False) for value in known.unrun]
    wrong = [Operation(leaf, Sort.WRONG, value, True, known.also) for value in _wrong(leaf.schema)]
    wrong += [
        Operation(leaf, Sort.WRONG, one.value, True, {**known.also, **one.also}, one.names) for one in known.wrong
    ]
    changed = [Operation(leaf, Sort.CHANGED, wrong[0].value, True, known.also)]
    if len(good) > 1 or optional:
        changed.append(
            Operation(leaf, Sort.CHANGED, good[-1] if len(good) > 1 else ABSENT, False, known.also, run=not known.form)
        )
    return [*made, *wrong, *changed]


def put(body: Body, kind: str, path: str, value: Any) -> None:
    """Write the value at the path, and what has to be around it; ABSENT takes it away."""
    part, schema = written(kind)
    steps = re.findall(r"[^.\[]+|\[\]", path)
    place: Any = body
    for index, step in enumerate(steps):
        key: Any = 0 if step == "[]" else KEY if step == "*" else step
        if index:
            schema = _child(schema, step)
        else:
            assert step == part, path
        if index == len(steps) - 1:
            break
        missing = (key >= len(place)) if isinstance(place, list) else (key not in place)
        if missing:
            _set(place, key, smallest(schema))
        place = place[key]
    if value is not ABSENT:
        _set(place, key, copy.deepcopy(value))
    elif place and (key == 0 or key in place):
        del place[key]


def _set(place: Any, key: Any, value: Any) -> None:
    if isinstance(place, list) and not place:
        place.append(value)
    else:
        place[key] = value


def _child(schema: Schema, step: str) -> Schema:
    """The schema one step further; of what a template holds besides what is declared nothing is known."""
    if step == "[]":
        found = schema.get("items", {})
    elif step == "*":
        found = schema.get("additionalProperties", {})
    else:
        found = schema.get("properties", {}).get(step, {})
    return dict(found)


def smallest(schema: Schema) -> Any:
    """A value that the schema takes, with nothing that is not required."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or not (kind or "anyOf" in schema):
        return {name: smallest(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
    if kind == "boolean":
        return True
    return text(schema)[0] if kind == "string" else schema.get("minimum", 1)


def _good(schema: Schema) -> Iterator[Any]:
    """Values on the edge of what the schema takes."""
    kind = schema.get("type")
    if "enum" in schema:
        yield schema["enum"][0]
        yield schema["enum"][-1]
    elif "anyOf" in schema:
        yield schema.get("minimum", 1)
        yield schema["maximum"] if "maximum" in schema else text(schema)[-1]
    elif kind in ("integer", "number"):
        yield schema.get("minimum", 0 if kind == "integer" else -1e300)
        yield schema.get("maximum", _HUGE if kind == "integer" else 1e300)
    elif kind == "boolean":
        yield True
        yield False
    elif kind == "array":
        yield _items(schema, max(schema.get("minItems", 0), 1))
        yield _items(schema, schema.get("maxItems", _MANY))
    elif kind == "object":
        yield {}
        if values := schema.get("additionalProperties"):
            yield {f"{KEY}{number}": smallest(values) for number in range(schema.get("maxProperties", _MANY))}
    else:
        yield from dict.fromkeys(text(schema))


def _items(schema: Schema, count: int) -> list[Any]:
    """So many items, which differ where they have to."""
    made = [smallest(schema["items"]) for _ in range(count)]
    for key in schema.get("x-kubernetes-list-map-keys", ()):
        for number, item in enumerate(made):
            item[key] = f"{item[key]}{number}"
    return made


def _wrong(schema: Schema) -> Iterator[Any]:
    """Values that the schema does not take."""
    kind = schema.get("type")
    if "anyOf" in schema:
        yield from ("many", {"a": 1}, ["1"])
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
    elif kind in ("integer", "number"):
        yield from ("many", "1")
        yield {"a": 1}
        if kind == "integer":
            yield 1.5
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
    elif kind == "boolean":
        yield from ("yes", 1, {"a": True})
    elif kind == "array":
        yield from ("text", {"a": 1})
        if "maxItems" in schema:
            yield _items(schema, schema["maxItems"] + 1)
        if schema.get("minItems"):
            yield []
    elif kind == "object":
        yield from ("text", ["text"], 7)
        if "maxProperties" in schema:
            yield {
                f"{KEY}{number}": smallest(schema["additionalProperties"])
                for number in range(schema["maxProperties"] + 1)
            }
    else:
        yield from (7, {"a": "text"}, ["text"])
        yield from _wrong_text(schema)


def _wrong_text(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield "NoSuchWord"
        yield schema["enum"][0].swapcase()
    if schema.get("format") == "date-time":
        yield from ("yesterday", "2026-13-01T00:00:00Z", "2026-01-01")
    if "pattern" in schema:
        yield from (one for one in ("Ü b e r", "-", "a\nb") if not re.search(schema["pattern"], one))
    if "maxLength" in schema:
        yield text(schema)[-1].ljust(schema["maxLength"] + 1, "0")
    if schema.get("minLength"):
        yield ""


def names(message: str, path: str) -> bool:
    """Whether somebody who reads this knows which field is meant: its path is there, or its object's and its name.

    Indexes and keys may be those of the object that was made of it: `containers[1]`, `triggers[nightly]`.
    """
    said = re.sub(r"\[[^\[\]\s]*\]", "", re.sub(r"\{.*\}", "", message, flags=re.DOTALL))
    wanted = path.replace("[]", "").replace(".*", f".{KEY}")
    place, _, name = wanted.rpartition(".")
    return _whole(wanted, said) or (_whole(place, said) and _whole(name, said.replace(place, "")))


def names_in_pod(message: str, path: str) -> bool:
    """The same of a pod that was refused: it has what is below `template` of its maker."""
    _, template, field = path.rpartition(".template.")
    return bool(template) and names(message, field)


def _whole(words: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None
