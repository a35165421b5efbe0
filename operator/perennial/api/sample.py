"""What a program of somebody's own answers when it is asked for a metric."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from perennial.questions import Sampled


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    value: FiniteFloat | int | None
    count: int = Field(1, ge=0)
    minimum: FiniteFloat | int | None = None
    maximum: FiniteFloat | int | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.value is not None and not self.low <= self.value <= self.high:
            raise ValueError("value must lie between minimum and maximum")
        return self

    @property
    def low(self) -> float:
        return float(self.value or 0) if self.minimum is None else float(self.minimum)

    @property
    def high(self) -> float:
        return float(self.value or 0) if self.maximum is None else float(self.maximum)


def parse_sample(text: str | bytes) -> Sampled | None:
    """The samples in `{"value": 0.93, "count": 250, "minimum": 0, "maximum": 1}`; None where it has no value, or is of
    no sample. ValueError says what is wrong."""
    try:
        said = _Said.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where + ': ' if where else ''}{first['msg']}") from None
    if said.value is None or not said.count:
        return None
    return Sampled(said.count, float(said.value), said.low, said.high)
