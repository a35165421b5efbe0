"""`make mutants`: seeds known bugs one at a time, and shows which test catches each. Names of mutants choose some."""

import argparse
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.mutants.lane import Lane, Unusable, Verdict
from tests.mutants.mutant import PRODUCT, Mutant
from tests.mutants.patterns import MUTANTS
from tests.prove.report import REPORT

TITLE = "The tests themselves"
LEAST = 0.95


def run(
    mutants: Iterable[Mutant], jobs: int, tell: Callable[[Verdict], None] = lambda _: None
) -> tuple[list[Verdict], list[str]]:
    """Judge the mutants, `jobs` at once, and `tell` of each. The verdicts, and what could not be judged, in words."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    verdicts: list[Verdict] = []
    unusable: list[str] = []
    for mutant in mutants:
        waiting.put(mutant)

    def work(lane: Lane) -> None:
        while True:
            try:
                verdict = lane.judge(waiting.get_nowait())
            except queue.Empty:
                return
            except (Unusable, ValueError) as error:
                unusable.append(str(error))
            else:
                verdicts.append(verdict)
                tell(verdict)

    with tempfile.TemporaryDirectory(prefix="perennial-mutants-") as scratch:
        lanes = [Lane(Path(scratch, str(number))) for number in range(jobs)]
        threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            # No other bug is begun with, and the tests that run are ended.
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()
            for lane in lanes:
                lane.interrupt()
            for thread in threads:
                thread.join()
            raise
    return verdicts, unusable


def main(names: Sequence[str], jobs: int) -> int:
    """Judge the mutants of these names, or all; 1 when too many survive or one could not be judged."""
    if unknown := set(names) - {mutant.name for mutant in MUTANTS}:
        print(f"no such mutant: {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in MUTANTS)}")
        return 2
    # The tests inherit it: what is started in the background ignores being interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    began, width = time.monotonic(), max(len(mutant.name) for mutant in chosen)

    def tell(verdict: Verdict) -> None:
        print(f"{verdict.mutant.name:{width}} {verdict.seconds:5.0f} s  {verdict.test or 'SURVIVES'}", flush=True)

    # Those that need servers take longest: they begin, so that no lane is left with one at the end.
    chosen.sort(key=lambda mutant: not mutant.tests[0].startswith("tests/apiserver"))
    verdicts, unusable = run(chosen, jobs, tell)
    caught = [verdict for verdict in verdicts if verdict.test]
    print(f"\n{len(caught)} of {len(chosen)} bugs are caught, in {time.monotonic() - began:.0f} s")
    for survivor in (verdict.mutant for verdict in verdicts if not verdict.test):
        print(f"not caught: {survivor.name}: {survivor.what} ({PRODUCT / survivor.file})")
    for words in unusable:
        print(f"not judged: {words}")
    failed = bool(unusable) or len(caught) < LEAST * len(chosen)
    _record(len(chosen), verdicts, time.monotonic() - began, failed)
    return int(failed)


def _record(seeded: int, verdicts: Iterable[Verdict], seconds: float, failed: bool) -> None:
    """A row for the table of the proofs."""
    tests = [verdict.test for verdict in verdicts if verdict.test]
    unit = sum(test.startswith("tests/unit") for test in tests)
    counts = {"bugs seeded": seeded, "caught": len(tests), "of them by unit tests": unit}
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as file:
            file.write(json.dumps({"title": TITLE, "counts": counts, "seconds": seconds, "failed": failed}) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to judge; default: all")
    # Half of the time they wait.
    jobs = 2 * len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=jobs, help="how many at once (%(default)s)")
    given = parser.parse_args()
    sys.exit(main(given.names, given.jobs))
