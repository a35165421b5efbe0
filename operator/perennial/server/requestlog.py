"""A sample of the rows that were asked for, with what was answered, as JSON Lines in a folder.

One file for each minute; somebody else takes them away. While nobody does, nothing is written any more.
"""

import json
import logging
import math
import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from perennial.server.predictor import PREDICT, AnyPredictor, Array, Predictor, Tensor, TensorPredictor

MOST_BYTES = 64 * 2**20
PREDICTION = "prediction"
_log = logging.getLogger(__name__)


class RequestLog:
    """Keeps `percent` of the rows; of their columns those that are named, or all. Called from several threads."""

    def __init__(self, folder: Path, percent: float, columns: Sequence[str] = ()) -> None:
        self._folder = folder
        self._share = percent / 100
        self._columns = frozenset(columns)
        self._minute = ""
        self._full = False
        self._random = random.Random()

    def sample(self, count: int) -> list[int]:
        """Which of so many rows are kept."""
        return [number for number in range(count) if self._random.random() < self._share]

    def wants(self, column: str) -> bool:
        """Whether a column is kept."""
        return not self._columns or column in self._columns

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append them. That a log cannot be written is no reason to answer nobody."""
        now = datetime.now(UTC)
        if (minute := now.strftime("%Y-%m-%dT%H%M")) != self._minute:
            self._minute, self._full = minute, self._is_full()
        if self._full or not rows:
            return
        time = now.isoformat(timespec="milliseconds")
        text = "".join(json.dumps({"time": time, **row}, default=str) + "\n" for row in rows)
        try:
            with (self._folder / f"{minute}-{os.getpid()}.jsonl").open("ab", buffering=0) as file:
                file.write(text.encode())
        except OSError as error:
            _log.warning("the log of requests cannot be written: %s", error)

    def _is_full(self) -> bool:
        try:
            full = sum(file.stat().st_size for file in self._folder.iterdir()) > MOST_BYTES
        except OSError as error:
            # A file was taken away in this moment, or the folder is not there.
            full = not self._folder.is_dir()
            if full:
                _log.warning("the log of requests cannot be written: %s", error)
            return full
        if full and not self._full:
            _log.warning("the log of requests is full: nobody takes it away")
        return full


def logged(predictor: AnyPredictor, log: RequestLog) -> AnyPredictor:
    """The predictor, which writes down what it is asked and answers."""
    return _Tensors(predictor, log) if isinstance(predictor, TensorPredictor) else _Tables(predictor, log)


class _Tables:
    def __init__(self, inner: Predictor, log: RequestLog) -> None:
        self._inner, self._log = inner, log

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self._inner.feature_names

    @property
    def feature_count(self) -> int | None:
        return self._inner.feature_count

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self._inner.outputs

    def run(self, output: str, rows: Array) -> Array:
        answer = self._inner.run(output, rows)
        if output == PREDICT and rows.ndim <= 2 and (kept := self._log.sample(len(rows))):
            table = rows if rows.ndim == 2 else rows[:, np.newaxis]
            names = self.feature_names or [str(number) for number in range(table.shape[1])]
            told = [number for number, name in enumerate(names) if self._log.wants(name)]
            self._log.write(
                [
                    {names[column]: _plain(table[row, column]) for column in told} | {PREDICTION: _plain(answer[row])}
                    for row in kept
                ]
            )
        return answer


class _Tensors:
    def __init__(self, inner: TensorPredictor, log: RequestLog) -> None:
        self._inner, self._log = inner, log

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self._inner.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self._inner.outputs

    def run_tensors(self, outputs: Sequence[str], tensors: Mapping[str, Array]) -> list[Array]:
        answers = self._inner.run_tensors(outputs, tensors)
        columns = {name: column for name, column in _columns(tensors).items() if self._log.wants(name)}
        count = min((len(column) for column in columns.values()), default=0)
        if kept := self._log.sample(count):
            first = answers[0] if answers and answers[0].ndim and len(answers[0]) >= count else None
            said = [{} if first is None else {PREDICTION: _plain(first[row])} for row in kept]
            self._log.write(
                [
                    {name: _plain(column[row]) for name, column in columns.items()} | prediction
                    for row, prediction in zip(kept, said, strict=True)
                ]
            )
        return answers


def _columns(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """What of tensors is a table: those of one column by their names, of several with a number; pictures are none."""
    columns: dict[str, Array] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 1 or (tensor.ndim == 2 and tensor.shape[1] == 1):
            columns[name] = tensor.reshape(len(tensor))
        elif tensor.ndim == 2:
            columns |= {f"{name}.{number}": tensor[:, number] for number in range(tensor.shape[1])}
    return columns


def _plain(value: Any) -> Any:
    """As JSON has it; of what is no number, null."""
    plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(plain, list):
        return [_plain(one) for one in plain]
    if isinstance(plain, bytes):
        return plain.decode(errors="replace")
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
