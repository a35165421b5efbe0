"""A wall clock that a test sets, for processes that it starts: libfaketime tells them another than the machine's."""

import platform
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from e2e.cluster import packages

_LIBRARY = f"/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1"


class Clock:
    """The machine's clock and an offset. What is monotonic stays as it is, as when an administrator sets a clock.

    Raises ClusterError, naming the package, when libfaketime is missing and cannot be installed.
    """

    def __init__(self, file: Path) -> None:
        packages.ensure({_LIBRARY: "libfaketime"})
        self._file = file
        self._offset = timedelta()
        self._setting = threading.Lock()
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to go by this clock."""
        return {
            "LD_PRELOAD": _LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Read anew with every question.
            "FAKETIME_NO_CACHE": "1",
        }

    def now(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self._offset

    def step(self, by: timedelta) -> None:
        """Set it forwards, or backwards."""
        with self._setting:
            self._offset += by
            self._write()

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(f"{self._offset.total_seconds():+.3f}\n")
        part.rename(self._file)
