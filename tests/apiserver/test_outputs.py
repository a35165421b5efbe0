"""docs/outputs.md says what the operator says."""

import difflib

from e2e.cluster.apiserver import ApiServer
from tests.apiserver.operators import Perennial
from tests.outputs.page import PAGE, page


def test_the_documented_outputs_are_those_of_this_operator(controlled: ApiServer, perennial: Perennial) -> None:
    said = page(controlled)
    differing = difflib.unified_diff(PAGE.read_text().splitlines(), said.splitlines(), PAGE.name, "as it says now", n=2)
    assert PAGE.read_text() == said, "run make outputs, and read what changed:\n" + "\n".join(differing)
