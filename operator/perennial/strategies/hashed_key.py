"""Requests are split by a key that they carry, without a memory: one that ends so is always for the same revision."""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from perennial.api.base import ApiModel
from perennial.strategies.matching import HeaderName

# Two hexadecimal digits.
_ENDINGS = 256


class HashedKey(ApiModel):
    """A share of the keys in a header. By its last two digits each key is in it or not: whoever is in a share is in
    every larger one."""

    header: HeaderName = Field(
        description="Its value, a random UUID or a hash, ends in hexadecimal digits that are spread evenly. The "
        "gateway must know regular expressions of headers. Requests without it are for the stable revision.",
    )
    percent: Annotated[int, Field(ge=1, le=99)] = Field(
        description="Percent of the keys that are for the new revision, to the nearest of 256 parts."
    )

    def conditions(self) -> list[dict[str, Any]]:
        """As the headers of an HTTPRouteMatch."""
        return [{"name": self.header, "type": "RegularExpression", "value": pattern(self.percent)}]


def pattern(percent: int) -> str:
    """Of so many percent, from 1 to 99, of all values by their last two hexadecimal digits. Some gateways compare the
    whole of a value, and some search in it: it means the same to both."""
    first, second = divmod(round(_ENDINGS * percent / 100), 16)
    parts = [f"{_below(first)}{_below(16)}"] if first else []
    if second:
        parts.append(f"{_digit(first)}{_below(second)}")
    return f"^.*({'|'.join(parts)})$"


@lru_cache(maxsize=64)
def percent_of(value: str) -> int | None:
    """The percentage that a pattern is of; None where it is of none."""
    return next((percent for percent in range(1, 100) if pattern(percent) == value), None)


def _below(count: int) -> str:
    letters = "abcdef"[: max(0, count - 10)]
    return f"[0-{min(count, 10) - 1}{letters}{letters.upper()}]"


def _digit(number: int) -> str:
    digit = f"{number:x}"
    return f"[{digit}{digit.upper()}]" if digit.isalpha() else digit
