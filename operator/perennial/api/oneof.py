"""A choice among several ways to do a thing, each with fields of its own: exactly one of them is given."""

from typing import Any, Self

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from perennial.api.base import ApiModel
from perennial.api.rules import RULES, rule


class OneOf(ApiModel):
    """Of its optional fields exactly one is given. A new way to do the thing is a field more: its type has what it
    needs to know and, as methods, what it does.
    """

    @classmethod
    def options(cls) -> dict[str, str]:
        """The names of the optional fields, by their names in YAML."""
        fields = cls.model_fields.items()
        return {field.alias or name: name for name, field in fields if not field.is_required()}

    @property
    def option(self) -> str:
        """The name in YAML of the one that is given."""
        return next(alias for alias, name in self.options().items() if getattr(self, name) is not None)

    @property
    def chosen(self) -> Any:
        """The one that is given."""
        return getattr(self, self.options()[self.option])

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in self.options().values()) != 1:
            raise ValueError(self._words())
        return self

    @classmethod
    def _words(cls) -> str:
        *others, last = cls.options()
        return f"give exactly one of {', '.join(others)} and {last}" if others else f"give {last}"

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        own = handler.resolve_ref_schema(schema)
        given = ", ".join(f"has(self.{name})" for name in cls.options())
        own[RULES] = [rule(f"[{given}].exists_one(given, given)", cls._words()), *own.get(RULES, ())]
        return schema


def not_in_the_schema(schema: dict[str, Any]) -> None:
    """For a field with a default: the API server would write it into the object, and another choice beside it."""
    del schema["default"]
