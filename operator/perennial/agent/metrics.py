"""Reads the metrics file that a training left, strictly: a number that is none must not pass a gate."""

import json
import math
import re
from pathlib import Path
from typing import Any

from perennial.agent.failure import TaskFailed
from perennial.api.task import MAX_METRICS, METRIC_NAME, Reason

MAX_BYTES = 64 * 1024
MAX_EVALUATION = 253


def read(path: Path) -> tuple[dict[str, float], str | None]:
    """Metrics by name, and the name of the data that they were measured on; nothing when there is no file."""
    if not path.is_symlink() and not path.exists():
        return {}, None
    try:
        if not path.is_file():
            raise _invalid("it is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(f"it has more than {MAX_BYTES} bytes")
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise _invalid(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _invalid("it is not UTF-8") from error


def parse(text: str) -> tuple[dict[str, float], str | None]:
    """Metrics and evaluation out of the file's text. TaskFailed(MetricsInvalid) names the key that is wrong."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"it is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise _invalid('it is not a JSON object such as {"accuracy": 0.93}')
    evaluation = body.pop("evaluation", None)
    if evaluation is not None and not (isinstance(evaluation, str) and len(evaluation) <= MAX_EVALUATION):
        raise _invalid(f"evaluation: expected a string of at most {MAX_EVALUATION} characters")
    if len(body) > MAX_METRICS:
        raise _invalid(f"it has {len(body)} metrics; at most {MAX_METRICS} are kept")
    return {_name(key): _number(key, value) for key, value in body.items()}, evaluation


def _name(key: str) -> str:
    if not re.fullmatch(METRIC_NAME, key):
        raise _invalid(f"{key[:80]!r}: a name has at most 63 letters, digits, _ . : - and begins with a letter or _")
    return key


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"{key}: expected a number, not {json.dumps(value)[:60]}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _invalid(f"{key}: expected a finite number, not {number}")
    return number


def _invalid(message: str) -> TaskFailed:
    return TaskFailed(Reason.METRICS_INVALID, f"the metrics file: {message}")
