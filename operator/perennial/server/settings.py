"""The server's settings, read once from the environment that the operator (or a person) gives it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perennial.server.errors import StartupError

DEFAULT_FORMAT = "sklearn"


@dataclass(frozen=True)
class Settings:
    """What to serve and within which bounds. Sizes are bytes, times are seconds."""

    model_dir: Path
    model_name: str
    model_version: str = ""
    model_format: str = DEFAULT_FORMAT
    revision: str = ""
    deployment: str = ""
    trusted_types: tuple[str, ...] = ()
    host: str = ""
    port: int = 8080
    threads: int = 1
    queue: int = 64
    max_body_bytes: int = 16 * 1024 * 1024
    drain_seconds: float = 10.0
    access_log: bool = False
    request_log: Path | None = None
    request_log_percent: float = 100.0
    request_log_columns: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the `PERENNIAL_*` variables; StartupError names the variable that is missing or wrong."""
        return cls(
            model_dir=Path(_text(env, "PERENNIAL_MODEL_DIR", required=True)),
            model_name=_text(env, "PERENNIAL_MODEL_NAME", required=True),
            model_version=_text(env, "PERENNIAL_MODEL_VERSION"),
            model_format=_text(env, "PERENNIAL_MODEL_FORMAT") or DEFAULT_FORMAT,
            revision=_text(env, "PERENNIAL_REVISION"),
            deployment=_text(env, "PERENNIAL_DEPLOYMENT"),
            trusted_types=tuple(_text(env, "PERENNIAL_TRUSTED_TYPES").replace(",", " ").split()),
            host=_text(env, "PERENNIAL_HOST"),
            port=int(_number(env, "PERENNIAL_PORT", cls.port, 0, 65535)),
            threads=int(_number(env, "PERENNIAL_THREADS", min(4, len(os.sched_getaffinity(0))), 1, 256)),
            queue=int(_number(env, "PERENNIAL_QUEUE", cls.queue, 0, 100_000)),
            max_body_bytes=int(_number(env, "PERENNIAL_MAX_BODY_BYTES", cls.max_body_bytes, 1, 2**31)),
            drain_seconds=_number(env, "PERENNIAL_DRAIN_SECONDS", cls.drain_seconds, 0, 3600),
            access_log=bool(_number(env, "PERENNIAL_ACCESS_LOG", 0, 0, 1)),
            request_log=Path(folder) if (folder := _text(env, "PERENNIAL_REQUEST_LOG")) else None,
            request_log_percent=_number(env, "PERENNIAL_REQUEST_LOG_PERCENT", cls.request_log_percent, 0, 100),
            request_log_columns=_names(env, "PERENNIAL_REQUEST_LOG_COLUMNS"),
        )


def _text(env: Mapping[str, str], name: str, *, required: bool = False) -> str:
    value = env.get(name, "")
    if required and not value:
        raise StartupError(f"{name} must be set")
    # Several of these become response headers and metric labels.
    if not (value.isascii() and (value.isprintable() or name == "PERENNIAL_TRUSTED_TYPES")):
        raise StartupError(f"{name} must be printable ASCII, is {value!r}")
    return value


def _names(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        value = json.loads(text) if (text := _text(env, name)) else []
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise StartupError(f"{name} must be a JSON list of names, is {text!r}")
    return tuple(value)


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text) if text else float(default)
    except ValueError:
        raise StartupError(f"{name} must be a number, is {text!r}") from None
    if not low <= value <= high:
        raise StartupError(f"{name} must be between {low} and {high}, is {text}")
    return value
