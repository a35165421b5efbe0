"""Texts that a schema takes: the shortest and the longest, made from its pattern."""

import re
from functools import cache
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

# What has no bound is tried with so much.
_LONG = 300
_WORDS = {
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_DIGIT: r"\d",
}


def text(schema: dict[str, Any]) -> tuple[str, str]:
    """The shortest and the longest text that the schema takes."""
    if schema.get("format") == "date-time":
        return "2026-01-02T03:04:05Z", "2026-12-31T23:59:59.999999+14:00"
    return _fitting(schema.get("pattern", ""), max(1, schema.get("minLength", 0)), schema.get("maxLength", _LONG))


@cache
def _fitting(pattern: str, least: int, most: int) -> tuple[str, str]:
    if not pattern:
        return "x" * least, "x" * most
    tree = _parser.parse(pattern)
    made = [_match(tree, 0)]
    for repeats in range(1, most + 1):
        made.append(_match(tree, repeats))
        if len(made[-1]) > most:
            break
    fitting = [one for one in made if least <= len(one) <= most]
    assert fitting, f"no text found for {pattern}"
    return min(fitting, key=len), max(fitting, key=len)


def _match(tree: Any, repeats: int) -> str:
    """A text that matches, in which everything that may be repeated is repeated so often, or as often as it may be."""
    made = ""
    for code, value in tree:
        if code is _constants.LITERAL:
            made += chr(value)
        elif code is _constants.IN:
            made += _member(value)
        elif code is _constants.ANY:
            made += "x"
        elif code is _constants.BRANCH:
            made += _match(value[1][0], repeats)
        elif code is _constants.SUBPATTERN:
            made += _match(value[3], repeats)
        elif code is _constants.MAX_REPEAT:
            least, most, inner = value
            made += _match(inner, repeats) * max(least, min(most, repeats))
        elif code is not _constants.AT:
            raise NotImplementedError(f"{code} in a pattern: say here what it matches")
    return made


def _member(choices: Any) -> str:
    """A character of a class; a letter where it has one, else a digit."""
    parts = ""
    for code, value in choices:
        if code is _constants.NEGATE:
            parts += "^"
        elif code is _constants.LITERAL:
            parts += re.escape(chr(value))
        elif code is _constants.RANGE:
            parts += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            parts += _WORDS[value]
    found = re.findall(f"[{parts}]", "".join(map(chr, range(33, 127))))
    return min(found, key=lambda one: (not one.isalpha(), not one.isalnum(), not one.islower(), one))
