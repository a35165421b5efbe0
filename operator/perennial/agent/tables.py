"""Tables from files: CSV, JSON Lines and Parquet, one or many that lie below a folder."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from perennial.agent.failure import TaskFailed
from perennial.api.task import Reason

# Of more rows a sample is looked at: what is measured of them hardly differs then.
MOST_ROWS = 1_000_000
_SEED = 0
_GUESSED_FROM = 10_000  # rows, of which type a column is
_KINDS = ".csv, .csv.gz, .jsonl, .ndjson, .parquet"


def read(what: str, place: Path, columns: Sequence[str] = ()) -> pl.DataFrame:
    """All rows of a file, or of the files below a folder; only these columns, where any are named.

    Raises TaskFailed in words that begin with `what` it is.
    """
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    try:
        frames = [frame for file in files if (frame := _scan(file)) is not None]
        if not frames:
            raise TaskFailed(Reason.INPUT_NOT_FOUND, f"{what}: there is no table: the names of files end with {_KINDS}")
        frame = pl.concat(frames, how="diagonal_relaxed")
        names = frame.collect_schema().names()
        if missing := [name for name in columns if name not in names]:
            raise TaskFailed(Reason.INPUT_NOT_FOUND, f"{what}: there is no column {missing[0]}; it has {_list(names)}")
        table: pl.DataFrame = (frame.select(columns) if columns else frame).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TaskFailed(Reason.INPUT_INVALID, f"{what}: cannot be read as a table: {error}") from error
    return table.sample(MOST_ROWS, seed=_SEED) if table.height > MOST_ROWS else table


def _scan(file: Path) -> pl.LazyFrame | None:
    name = file.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return pl.scan_csv(file, infer_schema_length=_GUESSED_FROM)
    if name.endswith((".jsonl", ".ndjson")):
        return pl.scan_ndjson(file, infer_schema_length=_GUESSED_FROM)
    return pl.scan_parquet(file) if name.endswith(".parquet") else None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
