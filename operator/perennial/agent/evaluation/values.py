"""Labels and predictions as arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perennial.agent.failure import TaskFailed
from perennial.api.task import Reason

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Row by row: what should have been predicted, and what the stable and the new revision did. Classes are numbers
    from 0; where only the two are compared, labels are 0."""

    labels: Numbers
    champion: Numbers
    challenger: Numbers

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, rows: npt.NDArray[Any]) -> "Pairs":
        """Some of them, by number or by truth."""
        return Pairs(self.labels[rows], self.champion[rows], self.challenger[rows])


def numbers(labels: Sequence[Any], champion: Sequence[Any], challenger: Sequence[Any]) -> Pairs:
    """As numbers; TaskFailed where one is none."""
    return Pairs(*(_floats(*one) for one in (("label", labels), ("prediction", champion), ("prediction", challenger))))


def classes(labels: Sequence[Any], champion: Sequence[Any], challenger: Sequence[Any]) -> Pairs:
    """As classes; TaskFailed where labels and predictions are of two kinds, and so are never the same."""
    known: dict[Any, int] = {}
    codes = [[known.setdefault(_class(one), len(known)) for one in each] for each in (labels, champion, challenger)]
    truths = {type(_class(one)) for one in labels}
    for predicted in (champion, challenger):
        kinds = {type(_class(one)) for one in predicted}
        if not truths & kinds:
            words = f"the label is {labels[0]!r:.40}, and a prediction {predicted[0]!r:.40}"
            raise TaskFailed(Reason.INPUT_INVALID, f"labels and predictions are never the same: {words}")
    return Pairs(*(np.array(one, dtype=np.float64) for one in codes))


def _floats(what: str, values: Sequence[Any]) -> Numbers:
    for value in values:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise TaskFailed(Reason.INPUT_INVALID, f"a {what} is {value!r:.40}; this metric is of numbers")
    return np.array(values, dtype=np.float64)


def _class(value: Any) -> float | str:
    """1, 1.0 and True are one class, whoever writes them."""
    return float(value) if isinstance(value, int | float) else str(value)
