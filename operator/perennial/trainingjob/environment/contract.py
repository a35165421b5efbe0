"""Where a training finds and leaves its files: see docs/run-contract.md."""

from collections.abc import Iterable

from perennial.api.trainingjob import TrainingJobSpec
from perennial.plan import Body
from perennial.pods import literals
from perennial.trainingjob.snapshot import Snapshot

ROOT = "/perennial"
HOME = "/perennial-home"


def variables(snapshot: Snapshot, _: TrainingJobSpec) -> Iterable[Body]:
    """The folders and files of the run contract."""
    champion = {"PERENNIAL_CHAMPION_DIR": f"{ROOT}/champion"} if snapshot.champion else {}
    return literals(
        {
            "PERENNIAL_OUTPUT_DIR": f"{ROOT}/output",
            "PERENNIAL_INPUTS_DIR": f"{ROOT}/inputs",
            "PERENNIAL_METRICS_FILE": f"{ROOT}/metrics.json",
            "PERENNIAL_PARAMETERS_FILE": f"{ROOT}/parameters.json",
            "HOME": HOME,
            "TMPDIR": HOME,
            **champion,
        }
    )
