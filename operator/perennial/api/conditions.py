"""Conditions: how a state is said to programs and people, with the time of its last change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.base import format_time

MESSAGE_LIMIT = 2048
REASON_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Said:
    """A condition as decided now: its status, one CamelCase reason, and a message for people."""

    type: str
    status: bool
    reason: str
    message: str = ""


def merge(
    before: Iterable[dict[str, Any]], said: Iterable[Said], now: datetime, generation: int
) -> list[dict[str, Any]]:
    """The conditions as they go into a status.

    The transition time is kept where the status is as before. A type that is not said again is left out. The reason and
    the message are those of now.
    """
    known = {condition["type"]: condition for condition in before}
    merged = []
    for one in said:
        status = "True" if one.status else "False"
        old = known.get(one.type)
        since = old["lastTransitionTime"] if old and old["status"] == status else format_time(now)
        merged.append(
            {
                "type": one.type,
                "status": status,
                "reason": one.reason[:REASON_LIMIT],
                "message": one.message[:MESSAGE_LIMIT],
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return merged


def find(conditions: Iterable[dict[str, Any]] | None, type_: str) -> dict[str, Any] | None:
    """The condition of this type, if there is one."""
    return next((condition for condition in conditions or () if condition["type"] == type_), None)


def is_true(conditions: Iterable[dict[str, Any]] | None, type_: str) -> bool:
    """Whether the condition of this type is there and True."""
    found = find(conditions, type_)
    return found is not None and found["status"] == "True"
