"""CEL rules of the kinds, as they stand in `x-kubernetes-validations`."""

from enum import StrEnum
from typing import Any

Rule = dict[str, Any]
# Where a structural schema has its rules.
RULES = "x-kubernetes-validations"


class Reason(StrEnum):
    """What is wrong, as the API server puts it before the message; `Invalid value: "object"` where there is none."""

    REQUIRED = "FieldValueRequired"
    FORBIDDEN = "FieldValueForbidden"


def rule(expression: str, message: str, field: str | None = None, reason: Reason | None = None) -> Rule:
    """A rule that must hold. `message` says what to do; `field`, a path below the rule's place, is named."""
    said = {"rule": expression, "message": message, "fieldPath": field, "reason": reason and reason.value}
    return {key: value for key, value in said.items() if value}


def fixed(field: str, when: str, message: str) -> Rule:
    """A field of the spec, for a rule of the whole object: it keeps its value, or its absence, while `when` holds."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    # Without optional syntax: what comes out of it has no bound, and so no price that the API server would accept.
    same = f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"
    return rule(f"!({when}) || ({same})", f"spec.{field} {message}", f".spec.{field}", Reason.FORBIDDEN)


def validations(*rules: Rule) -> Any:
    """The rules as `json_schema_extra` of a model or a field."""
    return {RULES: list(rules)}
