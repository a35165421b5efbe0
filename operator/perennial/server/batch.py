"""The rows that a request brings, and how they are laid out for a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from perennial.server.errors import InvalidRequestError
from perennial.server.predictor import Array, Predictor


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows along the first axis of `cells`; `columns` names the second axis, or is empty.

    `field` is the part of the request that they came from, for messages.
    """

    cells: Array
    field: str
    columns: tuple[str, ...] = ()


def arrange(batch: Batch, predictor: Predictor) -> Array:
    """The batch as the model wants it: columns by name where both sides have names, otherwise by position.

    Columns that the model does not know are left out. InvalidRequestError for a missing column or a wrong width.
    """
    cells = batch.cells
    if cells.ndim == 0 or len(cells) == 0:
        raise InvalidRequestError(f"{batch.field} has no rows")
    if batch.columns and predictor.feature_names:
        return cells[:, positions(batch, predictor.feature_names)]
    count = predictor.feature_count
    if count is not None and (cells.ndim != 2 or cells.shape[1] != count):
        raise InvalidRequestError(f"{batch.field} must have the shape [rows, {count}], has {list(cells.shape)}")
    return cells


def positions(batch: Batch, wanted: Sequence[str]) -> list[int]:
    """Where the wanted columns are. InvalidRequestError for one that is missing or named twice."""
    position = {name: index for index, name in enumerate(batch.columns)}
    if len(position) < len(batch.columns):
        doubled = sorted({name for name in batch.columns if batch.columns.count(name) > 1})
        raise InvalidRequestError(f"{batch.field} names a column twice: {', '.join(doubled)}")
    missing = [name for name in wanted if name not in position]
    if missing:
        raise InvalidRequestError(f"{batch.field} lacks the columns {', '.join(missing)}")
    return [position[name] for name in wanted]
