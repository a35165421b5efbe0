"""What becomes of a typed model in a structural schema."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from perennial.api.base import ApiModel
from perennial.api.schema import Schema, SchemaError, structural


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Wheel(ApiModel):
    """A wheel."""

    size: int = Field(12, description="Inches.")


class Bike(ApiModel):
    """A bike with one field of each sort."""

    gear_count: Annotated[int, Field(ge=1, le=30)] = Field(description="How many gears.")
    name: Annotated[str, Field(max_length=9)] | None = Field(None, description="What it is called.")
    colour: Colour = Field(Colour.RED, description="Its colour.")
    front: Wheel = Field(default=Wheel(), description="The wheel in front.")
    spare: list[Wheel] = Field(default=[], description="More wheels.")
    bell: Literal["Ding", "Dong"] = Field(description="What it says.")
    tax: Annotated[float, Field(gt=0)] | None = Field(None, description="What it costs.")
    rent: Annotated[float, Field(ge=0.5)] | None = Field(None, description="What it costs a day.")
    notes: dict[str, Any] = Field(default={}, description="Anything.")
    scores: Annotated[dict[Annotated[str, Field(pattern="^[a-z]+$", max_length=5)], float], Field(max_length=3)] = (
        Field(default={}, description="Numbers by name.")
    )
    motor: Annotated[dict[str, Any], Field(json_schema_extra={"$perennial": "Wheel"})] | None = Field(
        None, description="A motor is described as a wheel."
    )


@pytest.fixture(scope="module")
def bike() -> Schema:
    return structural(Bike, models=[Wheel])


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ("gearCount", {"type": "integer", "minimum": 1, "maximum": 30, "description": "How many gears."}),
        ("name", {"type": "string", "maxLength": 9, "description": "What it is called."}),
        ("colour", {"type": "string", "enum": ["Red", "Blue"], "default": "Red", "description": "Its colour."}),
        ("bell", {"type": "string", "enum": ["Ding", "Dong"], "description": "What it says."}),
        ("tax", {"type": "number", "minimum": 0, "exclusiveMinimum": True, "description": "What it costs."}),
        (
            "rent",
            {
                "type": "number",
                "minimum": 0.5,
                "description": "What it costs a day.",
                "x-kubernetes-validations": [{"rule": "self >= 0.5", "message": "must be at least 0.5"}],
            },
        ),
        (
            "notes",
            {
                "type": "object",
                "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True},
                "description": "Anything.",
            },
        ),
        (
            "front",
            {
                "type": "object",
                "properties": {"size": {"type": "integer", "default": 12, "description": "Inches."}},
                "default": {"size": 12},
                "description": "The wheel in front.",
            },
        ),
        (
            "motor",
            {
                "type": "object",
                "properties": {"size": {"type": "integer", "default": 12, "description": "Inches."}},
                "description": "A motor is described as a wheel.",
            },
        ),
    ],
)
def test_a_field_becomes(bike: Schema, field: str, schema: Schema) -> None:
    assert bike["properties"][field] == schema


def test_what_must_be_given_is_required(bike: Schema) -> None:
    assert bike["required"] == ["gearCount", "bell"]


def test_the_form_of_a_maps_keys_becomes_a_rule(bike: Schema) -> None:
    scores = bike["properties"]["scores"]
    assert scores["additionalProperties"] == {"type": "number"}
    assert scores["x-kubernetes-validations"] == [
        {
            "rule": "self.all(key, size(key) <= 5 && key.matches(r'^[a-z]+$'))",
            "message": "each name has at most 5 characters and the form ^[a-z]+$",
        }
    ]


def test_a_status_has_no_defaults() -> None:
    assert "default" not in str(structural(Bike, defaults=False, models=[Wheel]))


def test_nothing_of_json_schema_is_left_that_the_api_server_refuses(bike: Schema) -> None:
    def keys(node: Any) -> set[str]:
        if isinstance(node, dict):
            return set(node) | {key for child in node.values() for key in keys(child)}
        return {key for child in node for key in keys(child)} if isinstance(node, list) else set()

    assert not keys(bike) & {"$ref", "$defs", "title", "const", "patternProperties", "propertyNames", "$perennial"}


def test_a_field_without_words_is_an_error() -> None:
    class Silent(ApiModel):
        wheel: int

    with pytest.raises(SchemaError, match="Silent.wheel: the field has no description"):
        structural(Silent)


def test_what_cannot_be_said_is_an_error() -> None:
    class Torn(ApiModel):
        wheel: int | str = Field(description="A number or a name.")

    with pytest.raises(SchemaError, match="Torn.wheel: a choice of types cannot be said"):
        structural(Torn)


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(SchemaError, match="Bike.motor: no model Wheel"):
        structural(Bike)
