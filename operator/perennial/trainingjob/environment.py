"""What a training finds in its environment. Each part is a function of the run; a new one is a line in `PARTS`."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from perennial.api.trainingjob import TrainingJobSpec
from perennial.plan import Body
from perennial.pods import literal
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.spec import InvalidSpec

ROOT = "/perennial"
HOME = "/perennial-home"
# They are part of an environment variable (at most 128 KiB, on Linux) and of an annotation (256 KiB with all others).
MAX_PARAMETERS = 64 * 1024


def variables(snapshot: Snapshot, spec: TrainingJobSpec) -> list[Body]:
    """The variables of the training container, as they stand in its `env`. InvalidSpec when one cannot be said."""
    return [variable for part in PARTS for variable in part(snapshot, spec)]


def _contract(snapshot: Snapshot, _: TrainingJobSpec) -> Iterable[Body]:
    """Where files lie: see docs/run-contract.md."""
    champion = {"PERENNIAL_CHAMPION_DIR": f"{ROOT}/champion"} if snapshot.champion else {}
    return _literals(
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


def _parameters(_: Snapshot, spec: TrainingJobSpec) -> Iterable[Body]:
    """Each parameter in a variable of its own."""
    if len(json.dumps(spec.parameters)) > MAX_PARAMETERS:
        raise InvalidSpec(
            f"spec.parameters: more than {MAX_PARAMETERS // 1024} KiB as JSON; what is larger belongs into a file of "
            "spec.inputs"
        )
    names: dict[str, str] = {}
    for name in spec.parameters:
        variable = "PERENNIAL_PARAM_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        if variable in names:
            raise InvalidSpec(
                f"spec.parameters: {names[variable]!r} and {name!r} are both {variable}; rename one of them"
            )
        names[variable] = name
    return _literals({variable: _text(spec.parameters[name]) for variable, name in names.items()})


PARTS: tuple[Callable[[Snapshot, TrainingJobSpec], Iterable[Body]], ...] = (_contract, _parameters)


def _literals(values: Mapping[str, str]) -> list[Body]:
    return [{"name": name, "value": literal(value)} for name, value in values.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
