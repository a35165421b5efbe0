"""Reads JSON that anybody may have nested: the API server takes thousands of levels, decoders for Python fewer."""

import json
import re
from typing import Any

import orjson

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
# Far more than any kind needs, and fewer than any decoder takes.
_DEEPEST = 200


def loads(text: str | bytes) -> Any:
    """As `json.loads`; what is nested too deep for it comes with null at the 200th level."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_cut(text if isinstance(text, str) else text.decode()))


def _cut(text: str) -> str:
    kept, depth, begin = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == _DEEPEST:
                kept += [text[begin : token.start()], "null"]
        elif token[0] in "]}":
            depth -= 1
            if depth == _DEEPEST - 1:
                begin = token.end()
    return "".join([*kept, text[begin:]])
