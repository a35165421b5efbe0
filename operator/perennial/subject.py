"""The object that a decision is about, as every kind's snapshot reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from perennial.api.base import parse_time
from perennial.plan import Body

Spec = TypeVar("Spec", bound=BaseModel)


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
    try:
        return model.model_validate(spec), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return None, f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
