"""The object that a decision is about, as every kind's snapshot reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from perennial.api.base import parse_time
from perennial.api.meta import MAX_DEPTH
from perennial.plan import Body

Spec = TypeVar("Spec", bound=BaseModel)
Status = TypeVar("Status", bound=BaseModel)
# Well above the level at which the cache cuts.
_DEEPEST = MAX_DEPTH - 10


@dataclass(frozen=True)
class Subject:
    """An object, and what is read of its metadata."""

    body: Body

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.body["metadata"].get("generation", 0))

    @property
    def created(self) -> datetime:
        return parse_time(self.body["metadata"]["creationTimestamp"])

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.body["metadata"].get("annotations") or {}


def read_spec(model: type[Spec], spec: Any) -> tuple[Spec | None, str]:
    """The typed spec; or None and what is wrong with it, the field named: it passed the schema of another release."""
    if _deeper(spec, _DEEPEST):
        return None, f"spec: is nested deeper than {_DEEPEST} levels"
    try:
        return model.model_validate(spec), ""
    except ValidationError as error:
        return None, f"spec.{wrong_with(error)}"


def wrong_with(error: ValidationError) -> str:
    """The first field that is wrong, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def read_status(model: type[Status], status: Body | None) -> Status:
    """The typed status. What cannot be read of it (somebody else wrote it) is as if it were not there: a field, or the
    one entry of a list."""
    left: Any = status or {}
    while True:
        try:
            return model.model_validate(left)
        except ValidationError as error:
            places = {fault["loc"][:2] for fault in error.errors(include_url=False, include_input=False)}
            left = {field: kept for field in left if (kept := _without(places, field, left[field])) is not None}


def _without(places: set[tuple[Any, ...]], field: str, value: Any) -> Any:
    if isinstance(value, list) and (field,) not in places:
        return [one for index, one in enumerate(value) if (field, index) not in places]
    return None if any(place[0] == field for place in places) else value


def read_json(text: str) -> Any:
    """What an annotation says, which anybody may have written; None when it is no JSON."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return None


def _deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return not levels or any(_deeper(one, levels - 1) for one in value.values())
    if isinstance(value, list):
        return not levels or any(_deeper(one, levels - 1) for one in value)
    return False
