"""docs/outputs.md says what the operator says."""

import difflib

from tests.outputs.page import PAGE
from tests.outputs.played import played


def test_the_documented_outputs_are_those_of_this_operator() -> None:
    said = played()
    differing = difflib.unified_diff(PAGE.read_text().splitlines(), said.splitlines(), PAGE.name, "as it says now", n=2)
    assert PAGE.read_text() == said, "run make outputs, and read what changed:\n" + "\n".join(differing)
