"""How far data has moved from what a model was trained on. Only the image `drift` has the libraries for it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from perennial.agent import requestlog
from perennial.agent.drift.compare import Column, columns_of
from perennial.agent.drift.page import page
from perennial.agent.layout import Layout
from perennial.agent.storage import locate
from perennial.agent.tables import read
from perennial.agent.transfer import bring, patiently
from perennial.api.task import MAX_SHOWN_COLUMNS, Drifted, DriftedColumn, DriftTask

log = logging.getLogger(__name__)


def run(task: DriftTask, layout: Layout) -> Drifted:
    """Compare, write the report, and tell the columns that are the farthest apart.

    TaskFailed says what is missing, wrong or out of reach.
    """
    with TemporaryDirectory() as folder:
        reference, current = Path(folder, "reference"), Path(folder, "current")
        bring("the reference", task.reference, reference, layout.volumes)
        before = read("the reference", reference, task.columns)
        if task.within_seconds is None:
            bring("the current data", task.current, current, layout.volumes)
        else:
            since = datetime.now(UTC) - timedelta(seconds=task.within_seconds)
            if not requestlog.download(task.current.uri, current, since, layout.volumes):
                return Drifted(rows=0, reference_rows=before.height, columns=len(before.columns), drifted=0)
        now = read("the current data", current, task.columns)
    if now.height < task.min_rows:
        return Drifted(rows=now.height, reference_rows=before.height, columns=len(now.columns), drifted=0)
    columns = columns_of(before, now, task.method, task.limit, task.columns)
    drifted = sum(column.drifted for column in columns)
    log.info("compared", extra={"columns": len(columns), "drifted": drifted, "rows": now.height})
    report = _report(task, columns, (before.height, now.height), layout) if task.report else None
    farthest = [DriftedColumn(name=one.name[:63], score=float(f"{one.score:.4g}")) for one in columns]
    return Drifted(
        rows=now.height,
        reference_rows=before.height,
        columns=len(columns),
        drifted=drifted,
        farthest=tuple(farthest[:MAX_SHOWN_COLUMNS]),
        report=report,
    )


def _report(task: DriftTask, columns: Sequence[Column], rows: tuple[int, int], layout: Layout) -> str:
    """Where the page lies; the table lies beside it as JSON."""
    assert task.report
    at = datetime.now(UTC)
    target = locate(task.report, layout.volumes).child(at.strftime("%Y-%m-%dT%H%M%SZ"))
    words = (
        f"{sum(column.drifted for column in columns)} of {len(columns)} columns drifted: {task.method}, {task.limit:g}"
    )
    html = page(task.title, words, columns, rows, at)
    table = [
        {
            "column": one.name,
            "method": one.method,
            "score": one.score,
            "drifted": one.drifted,
            "bins": {key: list(value) for key, value in asdict(one.bins).items()},
        }
        for one in columns
    ]
    told = {"referenceRows": rows[0], "rows": rows[1], "time": at.isoformat(timespec="seconds"), "columns": table}
    patiently(lambda: target.write("report.json", json.dumps(told).encode()))
    patiently(lambda: target.write("report.html", html.encode()))
    return f"{target.uri}/report.html"
