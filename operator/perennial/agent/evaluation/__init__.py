"""What two servers predict for rows of which the truth is known. Only the image `drift` has the libraries for it."""

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from perennial.agent import tables
from perennial.agent.evaluation.judge import measured
from perennial.agent.evaluation.values import Pairs, classes, numbers
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.replay import AT_ONCE, ask, predictions
from perennial.agent.transfer import bring
from perennial.api.evaluate import Evaluated, EvaluateTask, EvaluationMetric, Limit, Measured
from perennial.api.task import Reason

_WHAT = "the rows of the evaluation"
_BATCH = 100
# Of more rows a sample is asked for: servers have other work.
_MOST_ROWS = 100_000
_SEED = 0
_OF_CLASSES = {EvaluationMetric.ACCURACY, EvaluationMetric.F1}
# So many single rows both are asked for, to see how long they take.
_TIMED = 200

log = logging.getLogger(__name__)


class _Refused(Exception):
    """The new revision does not predict; the message says how."""


def run(task: EvaluateTask, layout: Layout) -> Evaluated:
    """Ask both, and measure what the limits are about.

    TaskFailed says what is missing, wrong or out of reach: the rows, or the stable revision.
    """
    with TemporaryDirectory() as folder:
        place = Path(folder, "rows")
        digest = bring(_WHAT, task.rows, place, layout.volumes)
        table = tables.read(_WHAT, place)
    _require(table, [task.label, *task.columns, *(limit.segment for limit in task.limits if limit.segment)])
    table = table.filter(pl.col(task.label).is_not_null())
    if table.height > _MOST_ROWS:
        table = table.sample(_MOST_ROWS, seed=_SEED)
    if table.height < task.min_rows:
        return Evaluated(rows=table.height, digest=digest)
    features = table.select(task.columns) if task.columns else table.drop(task.label)
    try:
        limits = _limits(task, table, features)
    except _Refused as refused:
        return Evaluated(rows=table.height, digest=digest, failure=str(refused)[:500])
    log.info("evaluated", extra={"rows": table.height, "limits": [one.model_dump(exclude_none=True) for one in limits]})
    return Evaluated(rows=table.height, digest=digest, limits=limits)


def _limits(task: EvaluateTask, table: pl.DataFrame, features: pl.DataFrame) -> tuple[Measured, ...]:
    asked = {limit.name for limit in task.limits}
    known: dict[EvaluationMetric, Pairs] = {}
    if EvaluationMetric.LATENCY in asked:
        known[EvaluationMetric.LATENCY] = _timed(task, features)
    if rest := asked - known.keys():
        said = (table[task.label].to_list(), *_predicted(task, features))
        for kind, names in ((classes, rest & _OF_CLASSES), (numbers, rest - _OF_CLASSES)):
            if names:
                known |= dict.fromkeys(names, kind(*said))
    return tuple(measured(limit, known[limit.name], task.confidence, _segment(limit, table)) for limit in task.limits)


def _segment(limit: Limit, table: pl.DataFrame) -> Sequence[str | None] | None:
    return table[limit.segment].cast(pl.String, strict=False).to_list() if limit.segment else None


def _require(table: pl.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in table.columns:
            has = ", ".join(table.columns[:20])
            raise TaskFailed(Reason.INPUT_NOT_FOUND, f"{_WHAT}: there is no column {name}; it has {has}")


def _predicted(task: EvaluateTask, features: pl.DataFrame) -> tuple[list[Any], list[Any]]:
    """What the stable and the new revision say to each row."""
    batches = list(features.iter_slices(_BATCH))

    def both(batch: pl.DataFrame) -> tuple[list[Any], list[Any]]:
        return _of_stable(task, batch), _of_incoming(task, batch)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(both, batches))
    return [one for stable, _ in answers for one in stable], [one for _, incoming in answers for one in incoming]


def _of_stable(task: EvaluateTask, batch: pl.DataFrame) -> list[Any]:
    try:
        return _asked(task.stable, batch)
    except _Refused as refused:
        raise TaskFailed(Reason.REQUESTS_INVALID, f"the stable revision {refused}") from refused


def _of_incoming(task: EvaluateTask, batch: pl.DataFrame) -> list[Any]:
    return _asked(task.incoming, batch)


def _asked(url: str, batch: pl.DataFrame) -> list[Any]:
    answer = ask(url, _body(batch))
    if answer.refusal:
        raise _Refused(answer.refusal)
    said = predictions(answer.body)
    if not isinstance(said, list) or len(said) != batch.height:
        count = len(said) if isinstance(said, list) else "no list of"
        raise _Refused(f"answered {count} predictions for {batch.height} rows")
    return [_single(one) for one in said]


def _single(value: Any) -> Any:
    """The prediction of one row; a row of one column is its value."""
    if isinstance(value, dict | list) and len(value) == 1:
        value = next(iter(value.values() if isinstance(value, dict) else value))
    if isinstance(value, dict | list) or value is None:
        raise _Refused("answered no single value for a row")
    return value


def _body(batch: pl.DataFrame) -> bytes:
    """As MLflow's servers take rows: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/"""
    # JSON knows no NaN.
    split = {"columns": batch.columns, "data": batch.fill_nan(None).rows()}
    return json.dumps({"dataframe_split": split}, default=str, allow_nan=False).encode()


def _timed(task: EvaluateTask, features: pl.DataFrame) -> Pairs:
    """How long each takes for single rows, one after the other, in milliseconds; who is first changes."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for number, row in enumerate(features.head(_TIMED).iter_slices(1)):
        for new in (bool(number % 2), not number % 2):
            began = time.perf_counter()
            (_of_incoming if new else _of_stable)(task, row)
            times[new].append((time.perf_counter() - began) * 1000)
    return Pairs(np.zeros(len(times[True])), np.array(times[False]), np.array(times[True]))
