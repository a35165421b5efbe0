"""The seeded bugs fit the tree as it is: a pattern whose place has moved is moved with it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.mutant import PRODUCT, Mutant
from tests.mutants.patterns import MUTANTS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_pattern_has_its_place_and_its_tests(mutant: Mutant) -> None:
    sound = (ROOT / PRODUCT / mutant.file).read_text()
    broken = mutant.applied(sound)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(sound))
    for path in mutant.tests:
        file, _, name = path.partition("::")
        assert (ROOT / file).exists()
        assert f"def {name}" in (ROOT / file).read_text() if name else True


def test_patterns_are_told_apart_by_their_names() -> None:
    assert set(Counter(mutant.name for mutant in MUTANTS).values()) == {1}
