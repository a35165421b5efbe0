"""The report as a page of its own: a table with a picture of each column."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from perennial.agent.drift.compare import Column
from perennial.agent.drift.distances import TESTS, Bins, Numbers

_WIDTH, _HEIGHT = 220, 48
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.4em .9em;text-align:left;border-bottom:1px solid #ddd}td.n{text-align:right;"
    "font-variant-numeric:tabular-nums}tr.drifted td:first-child{font-weight:600;color:#b00020}"
    ".r{fill:#9db4c8}.c{fill:#d9822b;fill-opacity:.75}"
)


def page(title: str, words: str, columns: Sequence[Column], rows: tuple[int, int], at: datetime) -> str:
    """HTML. rows: of the reference, and of the current data."""
    lines = "\n".join(_row(column) for column in columns)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>
<h1>{escape(title)}</h1>
<p>{escape(words)}</p>
<p>{at:%Y-%m-%d %H:%M} UTC; {rows[0]} rows of reference
<svg width="12" height="12"><rect class="r" width="12" height="12"/></svg>, {rows[1]} current rows
<svg width="12" height="12"><rect class="c" width="12" height="12"/></svg></p>
<table><tr><th>Column</th><th>Drifted</th><th>Method</th><th>Score</th><th>Share of rows</th></tr>
{lines}
</table></html>
"""


def _row(column: Column) -> str:
    score = f"p = {column.score:.3g}" if column.method in TESTS else f"{column.score:.4g}"
    return (
        f"<tr{' class=drifted' if column.drifted else ''}><td>{escape(column.name)}</td>"
        f"<td>{'yes' if column.drifted else 'no'}</td><td>{column.method}</td><td class=n>{score}</td>"
        f"<td>{_picture(column.bins)}</td></tr>"
    )


def _picture(bins: Bins) -> str:
    shares = _shares(bins.reference), _shares(bins.current)
    most, step = max(*shares[0], *shares[1], 1e-9), _WIDTH / len(bins.labels)
    bars = "".join(
        f"<g><title>{escape(label)}: {before:.1%}, now {now:.1%}</title>"
        f"{_bar('r', number * step, step * 0.45, before / most)}"
        f"{_bar('c', (number + 0.45) * step, step * 0.45, now / most)}</g>"
        for number, (label, before, now) in enumerate(zip(bins.labels, *shares, strict=True))
    )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{bars}</svg>'


def _bar(kind: str, x: float, width: float, share: float) -> str:
    height = share * _HEIGHT
    return f'<rect class="{kind}" x="{x:.1f}" y="{_HEIGHT - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _shares(counts: Numbers) -> list[float]:
    return [float(one) for one in counts / max(counts.sum(), 1.0)]
