"""Waits beside a training for its end, told by the end-of-file of a FIFO that its launcher holds open."""

import errno
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.task import Reason

LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the training ended. No exit code: the launcher itself was killed, and with it the container."""

    exit_code: int | None
    interrupted: bool


def wait(layout: Layout, told_to_stop: Callable[[], bool]) -> Ended:
    """Returns when the training has ended, or when this process is told to stop before."""
    fifo = os.open(layout.fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(fifo, select.POLLIN)
        running = False
        while True:
            # In this order: an end-of-file counts only when it was read after the launcher was there.
            if not running and (layout.run / "started").exists():
                running = True
                log.info("the training has started")
            if running and _at_end(fifo):
                return _ended(layout)
            if told_to_stop():
                return Ended(exit_code=None, interrupted=True)
            if running:
                poll.poll(LOOK_SECONDS * 1000)
            else:
                time.sleep(LOOK_SECONDS)
    finally:
        os.close(fifo)


def _at_end(fifo: int) -> bool:
    try:
        return os.read(fifo, 4096) == b""
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
        return False


def _ended(layout: Layout) -> Ended:
    try:
        code = int((layout.run / "exit").read_text())
    except (FileNotFoundError, ValueError):
        code = None
    return Ended(code, (layout.run / "interrupted").exists())


def require_success(ended: Ended) -> None:
    """TaskFailed unless the training ended by itself and well."""
    if ended.interrupted:
        raise TaskFailed(Reason.INTERRUPTED, "the training was told to stop before its end; nothing was published")
    if ended.exit_code is None:
        raise TaskFailed(
            Reason.TRAINING_FAILED,
            "the training's container was killed before it could report an exit code; "
            "most often it used more memory than its limit",
        )
    if ended.exit_code != 0:
        raise TaskFailed(
            Reason.TRAINING_FAILED, f"the training ended with exit code {ended.exit_code}{_meaning(ended.exit_code)}"
        )


def _meaning(code: int) -> str:
    if code in (126, 127):
        return ": its command could not be started"
    if code == 128 + signal.SIGKILL:
        return " (SIGKILL: most often it used more memory than its limit)"
    try:
        return f" ({signal.Signals(code - 128).name})" if code > 128 else ""
    except ValueError:
        return ""
