"""A few seeded bugs, so that `make mutants` itself is known to see them; it seeds them all."""

import pytest

from tests.mutants.__main__ import TITLE, run
from tests.mutants.patterns import MUTANTS
from tests.prove.report import FULL, Proof

# Each in another part of the product, and seen by a unit test within seconds.
SLICE = ("conflict-is-success", "number-given-twice", "veto-forgotten", "not-a-number-passes")


@pytest.mark.skipif(FULL, reason="all of them are seeded by `python -m tests.mutants`")
@pytest.mark.proof(TITLE)
def test_the_tests_see_bugs_that_are_seeded(proof: Proof) -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.name in SLICE]
    verdicts, unusable = run(chosen, jobs=2)
    assert not unusable
    assert {verdict.mutant.name for verdict in verdicts if verdict.test} == set(SLICE)
    proof.count("bugs seeded", len(chosen))
    proof.count("caught", len(verdicts))
