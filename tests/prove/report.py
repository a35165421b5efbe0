"""What the proofs counted: each test that holds a part of one writes a row, and `make prove` prints them as a table.

A proof is a test with the fixture `proof`, marked `@pytest.mark.proof("Crash sweep")`: tests of one title make one row.
It runs in full under `make prove`, and as a slice that fits CI under `make test`.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Where rows are written; nothing is written when it is not set.
REPORT = "PERENNIAL_PROOFS"
FULL = os.environ.get("PERENNIAL_PROVE") == "full"
_FAILED = pytest.StashKey[bool]()


def scaled(full: int, part: int) -> int:
    """How many: all of them under `make prove`, a part of them in CI."""
    return full if FULL else part


@dataclass
class Proof:
    """Counts of one test of a proof."""

    title: str
    counts: Counter[str] = field(default_factory=Counter)

    def count(self, what: str, number: int = 1) -> None:
        """Something was tried, or seen: `proof.count("writes killed at")`."""
        self.counts[what] += number


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "proof(title): part of a proof, see tests/prove/report.py")
    config.addinivalue_line("markers", "alone: `make prove` runs nothing beside it, since it compares times")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Iterator[Proof]:
    """The row of this test."""
    marker = request.node.get_closest_marker("proof")
    assert marker, "a test with the fixture `proof` says with @pytest.mark.proof of which one it is a part"
    proof, began = Proof(marker.args[0]), time.monotonic()
    yield proof
    path = os.environ.get(REPORT)
    if path:
        row = {"title": proof.title, "counts": proof.counts, "seconds": time.monotonic() - began}
        row["failed"] = request.node.stash.get(_FAILED, True)
        with Path(path).open("a") as file:
            file.write(json.dumps(row) + "\n")


def table(lines: Iterable[str]) -> str:
    """The rows, one for each title, in the order of their first test."""
    rows: dict[str, tuple[Counter[str], float, int, int]] = {}
    for row in map(json.loads, lines):
        counts, seconds, tests, failed = rows.get(row["title"], (Counter(), 0.0, 0, 0))
        counts, seconds, failed = counts + Counter(row["counts"]), seconds + row["seconds"], failed + row["failed"]
        rows[row["title"]] = (counts, seconds, tests + 1, failed)
    width = max(map(len, rows), default=0)
    return "\n".join(
        f"{title:{width}}  {'FAILED' if failed else 'ok':6}  {tests:3} tests  {seconds:6.0f} s  "
        + ", ".join(f"{number:,} {what}" for what, number in counts.items())
        for title, (counts, seconds, tests, failed) in rows.items()
    )


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]).read_text().splitlines()) + "\n")
