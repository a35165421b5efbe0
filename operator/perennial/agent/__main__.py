"""The agent: `prepare`, `publish` and other steps, with a task in $PERENNIAL_TASK; `digest PATH`; `cache`."""

import argparse
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from perennial.agent import digest
from perennial.agent.failure import TaskFailed, Unsuitable
from perennial.agent.layout import Layout
from perennial.api.detect import Detected, DetectTask
from perennial.api.evaluate import Evaluated, EvaluateTask
from perennial.api.task import (
    ATTEMPT_ENV,
    TASK_ENV,
    Drifted,
    DriftTask,
    FetchTask,
    Looked,
    LookTask,
    Prepared,
    PrepareTask,
    PublishTask,
    Reason,
    RecoverTask,
    Replayed,
    ReplayTask,
    Result,
    ShipTask,
    size_of,
)

STEPS = ("prepare", "publish", "fetch", "recover", "replay", "look", "drift", "detect", "evaluate", "ship")
# Of an Indexed Job each pod is given its own.
_INDEX = "JOB_COMPLETION_INDEX"
EXIT_FAILED, EXIT_INTERRUPTED = 1, 128 + signal.SIGTERM

log = logging.getLogger("perennial.agent")
T = TypeVar("T", bound=BaseModel)


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 failed (the termination message says why), 143 told to stop before it was done."""
    parser = argparse.ArgumentParser(prog="python -m perennial.agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for step in STEPS:
        commands.add_parser(step)
    commands.add_parser("digest", help="print the digest of a file or folder").add_argument("path", type=Path)
    cache = commands.add_parser("cache", help="keep models for the pods of this node")
    cache.add_argument("--folder", type=Path, required=True, help="where they are kept")
    cache.add_argument("--size", required=True, help="how much of them: 10Gi")
    cache.add_argument("--port", type=int, default=8080, help="where it answers")
    given = parser.parse_args(arguments)
    if given.command == "digest":
        return _digest(given.path)
    os.umask(0o022)  # what lies in the shared volume is read under other uids
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("perennial").setLevel(logging.INFO)
    if given.command == "cache":
        return _cache(given.folder, given.size, given.port)
    layout = Layout.from_environment()
    try:
        answer = _run(given.command, layout)
    except TaskFailed as failed:
        return _fail(failed, layout)
    except Exception as error:
        log.exception("unexpected error")
        return _fail(TaskFailed(Reason.AGENT_FAILED, f"{given.command}: {type(error).__name__}: {error}"), layout)
    if answer is not None:
        _leave(answer.to_json(), layout)
    return 0


def _run(step: str, layout: Layout) -> Detected | Drifted | Evaluated | Looked | Prepared | Replayed | Result | None:
    stop = _Stop(layout, at_once=step not in ("publish", "ship"))
    # Only now: the storage libraries take a second to load, and being told to stop must be heard from the start.
    if step == "drift":
        # In an image of its own.
        from perennial.agent import drift

        return drift.run(_task(DriftTask), layout)
    if step == "detect":
        from perennial.agent import detection

        return detection.run(_task(DetectTask))
    if step == "evaluate":
        from perennial.agent import evaluation

        return evaluation.run(_task(EvaluateTask), layout)
    from perennial.agent import fetch, look, prepare, publish, recover, replay, requestlog, training

    leads = os.environ.get(_INDEX, "0") == "0"
    if step == "prepare":
        task = _task(PrepareTask)
        return prepare.run(task if leads else task.model_copy(update={"destination": None}), _attempt(), layout)
    if step == "publish" and not leads:
        # Of several nodes the first publishes; the end of the others is theirs to tell.
        training.require_success(training.wait(layout, lambda: stop.told))
        return None
    if step == "publish":
        return publish.run(_task(PublishTask), _attempt(), layout, lambda: stop.told)
    if step == "fetch":
        fetch.run(_task(FetchTask), layout)
        return None
    if step == "ship":
        requestlog.ship(_task(ShipTask), _attempt(), layout, lambda: stop.told)
        return None
    if step == "replay":
        return replay.run(_task(ReplayTask), layout)
    if step == "look":
        return look.run(_task(LookTask), layout)
    return recover.run(_task(RecoverTask), layout)


class _Stop:
    """Hears SIGTERM and SIGINT, which PID 1 would not otherwise. `at_once`: ends the process, whatever it is doing."""

    def __init__(self, layout: Layout, at_once: bool) -> None:
        self.told = False
        self.layout = layout
        self.at_once = at_once
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.told = True
        if self.at_once:
            os._exit(_fail(TaskFailed(Reason.INTERRUPTED, "told to stop before it was done"), self.layout))


def _task(kind: type[T]) -> T:
    try:
        return kind.model_validate_json(os.environ.get(TASK_ENV, ""))
    except ValidationError as error:
        raise TaskFailed(Reason.AGENT_FAILED, f"${TASK_ENV} is no {kind.__name__}: {error}") from error


def _attempt() -> str:
    if name := os.environ.get(ATTEMPT_ENV):
        return name
    raise TaskFailed(Reason.AGENT_FAILED, f"${ATTEMPT_ENV} is not set")


def _fail(failed: TaskFailed, layout: Layout) -> int:
    log.error("%s", failed, extra={"reason": failed.reason})
    _leave(failed.failure().to_json(), layout)
    return EXIT_INTERRUPTED if failed.reason == Reason.INTERRUPTED else EXIT_FAILED


def _leave(message: str, layout: Layout) -> None:
    try:
        layout.termination_log.write_text(message, "utf-8")
    except OSError as error:
        log.warning("the termination message could not be written: %s", error, extra={"left": message})


def _cache(folder: Path, size: str, port: int) -> int:
    from perennial.agent.cache import server

    try:
        server(folder, size_of(size), ("", port)).serve_forever()
    except ValueError as error:
        sys.stderr.write(f"--size: {error}\n")
    return EXIT_FAILED


def _digest(path: Path) -> int:
    try:
        sys.stdout.write(digest.of_path(path) + "\n")
    except (Unsuitable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # At once: an interpreter that takes itself down hears no signals as above, and a SIGTERM would undo the exit code.
    os._exit(code)
