"""Exactly one of several: what the schema asks for, and what the model takes."""

import pytest
from pydantic import Field, ValidationError

from perennial.api.base import ApiModel
from perennial.api.oneof import OneOf
from perennial.api.schema import structural


class Fast(ApiModel):
    """Fast."""

    by_how_much: int = Field(1, description="By how much.")


class Way(OneOf):
    """How it goes."""

    name: str = Field(description="Its name.")
    very_fast: Fast | None = Field(None, description="Fast.")
    slow: Fast | None = Field(None, description="Slow.")
    other: Fast | None = Field(None, description="Otherwise.")


def test_the_one_that_is_given() -> None:
    way = Way.model_validate({"name": "x", "veryFast": {"byHowMuch": 3}})
    assert (way.option, way.chosen) == ("veryFast", Fast(by_how_much=3))


@pytest.mark.parametrize("given", [{}, {"slow": {}, "other": {}}, {"unheardOf": {}}])
def test_none_and_two_are_refused_in_words(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of veryFast, slow and other"):
        Way.model_validate({"name": "x"} | given)


def test_the_schema_has_the_rule() -> None:
    assert structural(Way)["x-kubernetes-validations"] == [
        {
            "rule": "[has(self.veryFast), has(self.slow), has(self.other)].exists_one(given, given)",
            "message": "give exactly one of veryFast, slow and other",
        }
    ]
