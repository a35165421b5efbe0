"""The parameters of a training, each in a variable of its own."""

import json
import re
from collections.abc import Iterable
from typing import Any

from perennial.api.trainingjob import TrainingJobSpec
from perennial.plan import Body
from perennial.pods import literals
from perennial.trainingjob.snapshot import Snapshot
from perennial.trainingjob.spec import InvalidSpec

# They are part of an environment variable (at most 128 KiB, on Linux) and of an annotation (256 KiB with all others).
_MOST = 64 * 1024


def variables(_: Snapshot, spec: TrainingJobSpec) -> Iterable[Body]:
    """PERENNIAL_PARAM_<NAME>. InvalidSpec when they are too many, or two of them have one name."""
    if len(json.dumps(spec.parameters)) > _MOST:
        raise InvalidSpec(
            f"spec.parameters: more than {_MOST // 1024} KiB as JSON; what is larger belongs into a file of spec.inputs"
        )
    names: dict[str, str] = {}
    for name in spec.parameters:
        variable = "PERENNIAL_PARAM_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        if variable in names:
            raise InvalidSpec(
                f"spec.parameters: {names[variable]!r} and {name!r} are both {variable}; rename one of them"
            )
        names[variable] = name
    return literals({variable: _text(spec.parameters[name]) for variable, name in names.items()})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
