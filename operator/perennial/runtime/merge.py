"""Comparing and merging plain bodies: merge patches (RFC 7386), and what of an intent is seen in an object."""

import hashlib
import json
from typing import Any

from perennial.plan import Body


def without_none(value: Any) -> Any:
    """The same value without the keys that hold None: in a merge patch those would mean "remove"."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value]
    return value


def difference(old: Body, new: Body) -> Body:
    """The merge patch that turns `old` into `new`; empty when they are equal. Lists are replaced whole."""
    patch: Body = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            if inner := difference(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def shows(observed: Any, intent: Any) -> bool:
    """Whether an object shows every value of an intent; what the intent does not name is free, None means absent."""
    if isinstance(intent, dict):
        if not isinstance(observed, dict):
            return not intent and observed is None
        return all(
            key not in observed if value is None else shows(observed.get(key), value) for key, value in intent.items()
        )
    if isinstance(intent, list):
        return isinstance(observed, list) and len(observed) == len(intent) and all(map(shows, observed, intent))
    return bool(observed == intent)


def is_patched(observed: Any, patch: Any) -> bool:
    """Whether a merge patch would change nothing of an object. Other than in an intent, a list is whole."""
    if not isinstance(patch, dict):
        return bool(observed == patch)
    return isinstance(observed, dict) and all(
        key not in observed if value is None else is_patched(observed.get(key), value) for key, value in patch.items()
    )


def seen(observed: Any, intent: Any) -> Any:
    """The part of an object that an intent speaks of, with the object's values."""
    if isinstance(intent, dict) and isinstance(observed, dict):
        return {key: seen(observed[key], value) for key, value in intent.items() if key in observed}
    if isinstance(intent, list) and isinstance(observed, list) and len(intent) == len(observed):
        return [seen(*pair) for pair in zip(observed, intent, strict=True)]
    return observed


def digest(value: Any) -> str:
    """A short name of a value, the same for equal values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
