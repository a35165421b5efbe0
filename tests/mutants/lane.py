"""A copy of the tree in which one bug at a time is seeded, and the tests that are to see it are run."""

import compileall
import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import PRODUCT, Mutant

ROOT = Path(__file__).parents[2]
# Seconds for one of a mutant's paths; a suite that hangs is told of, and nobody would merge it.
PATIENCE = 400.0
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.M)
_PASSED, _FAILURES = 0, 1
_HANGS = " hangs"
# No traceback is read by anybody, and nothing is left in the copy.
_PYTEST = ("-m", "pytest", "-x", "-q", "-rfE", "--no-header", "--tb=no", "-p", "no:cacheprovider")


class Unusable(Exception):
    """The tests could not be run at all: nothing is known of the bug."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant. `test` saw it; without one it survived."""

    mutant: Mutant
    test: str | None
    seconds: float


class Lane:
    """One copy of the tree, as it lies here: also what is not committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tests: subprocess.Popen[str] | None = None
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        # Compiled once, and told by content: by time and length, a file that changes within a second might be taken for
        # unchanged.
        checked = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder / PRODUCT, quiet=1, invalidation_mode=checked)

    def interrupt(self) -> None:
        """End the tests that run, as by hand: so the servers that they started are stopped with them."""
        if self._tests and self._tests.poll() is None:
            self._tests.send_signal(signal.SIGINT)

    def judge(self, mutant: Mutant) -> Verdict:
        """Run its tests until one fails that passes without the bug. Unusable when they cannot be run."""
        began = time.monotonic()
        for path in mutant.tests:
            # A test that fails without the bug says nothing of it.
            broken: list[str] = []
            while True:
                with self._seeded(mutant):
                    found = self._first_failure(path, broken)
                if found is None:
                    break
                if found.endswith(_HANGS) or not self._first_failure(found):
                    return Verdict(mutant, found, time.monotonic() - began)
                broken.append(found)
        return Verdict(mutant, None, time.monotonic() - began)

    @contextmanager
    def _seeded(self, mutant: Mutant) -> Iterator[None]:
        file = self.folder / PRODUCT / mutant.file
        sound = file.read_text()
        file.write_text(mutant.applied(sound))
        try:
            yield
        finally:
            file.write_text(sound)

    def _first_failure(self, path: str, without: Sequence[str] = ()) -> str | None:
        """The id of the first test of the path that fails, or that the path hangs; None when all pass."""
        environment = {**os.environ, "PYTHONPATH": f"{self.folder / 'operator'}:{self.folder}"}
        environment |= {"PERENNIAL_PROVE": "", "PERENNIAL_PROOFS": ""}
        command = [sys.executable, *_PYTEST, path, *(f"--deselect={test}" for test in without)]
        self._tests = tests = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = tests.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.interrupt()
            with suppress(subprocess.TimeoutExpired):
                tests.communicate(timeout=60)
            return path + _HANGS
        finally:
            # A bug may well be that something does not end.
            with suppress(ProcessLookupError):
                os.killpg(tests.pid, signal.SIGKILL)
            tests.wait()
        if tests.returncode == _PASSED:
            return None
        failed = _FAILED.search(said)
        if tests.returncode != _FAILURES or failed is None:
            raise Unusable(f"pytest {path} ended with {tests.returncode}:\n{said[-2000:]}")
        return failed[1]
