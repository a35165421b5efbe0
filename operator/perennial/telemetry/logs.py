"""JSON logs, one object per line, with the kind, namespace and name of the object being reconciled."""

import contextvars
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

_subject: contextvars.ContextVar[tuple[str, str, str] | None] = contextvars.ContextVar(
    "perennial_log_subject", default=None
)
# Attributes that every record has; what else hangs on one came from `extra=` and is shown.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def about(kind: str, namespace: str, name: str) -> Iterator[None]:
    """Everything logged inside carries this object's kind, namespace and name."""
    token = _subject.set((kind, namespace, name))
    try:
        yield
    finally:
        _subject.reset(token)


class JsonFormatter(logging.Formatter):
    """One line of JSON per record: time, level, logger, message, the object, `extra` fields, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if subject := _subject.get():
            line |= zip(("kind", "namespace", "name"), subject, strict=True)
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    """Send all logs to the stream as JSON. kopf's line per watched event is silenced."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("kopf.objects").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
