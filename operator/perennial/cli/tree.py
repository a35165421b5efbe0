"""A lineage as people read it: a short tree. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from perennial.api import retrainpolicy as api
from perennial.api.base import format_time
from perennial.api.gate import EvaluationStatus
from perennial.api.modelversion import ModelVersionSpec
from perennial.cli.lineage import Cause, Lineage, Revision, Training
from perennial.cli.problem import printable

_NO_DIGEST = "digest not known: none was given, and a claim is mounted without being read"


@dataclass(frozen=True)
class Node:
    """A label, what it says in one line or more, and what lies below it."""

    label: str
    lines: Sequence[str] = ()
    below: Sequence["Node"] = field(default=())


def text(lineage: Lineage) -> str:
    """All of it, no line end at the end."""
    return "\n".join(printable(line) for line in _drawn(_tree(lineage)))


def _tree(lineage: Lineage) -> Node:
    revision, place = lineage.revision, f"in namespace {lineage.namespace}"
    if revision is None:
        return Node(f"ModelVersion {lineage.name}", [place], _parts(lineage))
    about = [lineage.name, lineage.unknown.get("version")]
    version = Node("version", [line for line in about if line], _parts(lineage))
    below = [version]
    if revision.evaluation:
        below.insert(0, Node("evaluation", list(_evaluation(revision.evaluation))))
    if revision.gate_skipped:
        below.insert(0, Node("gate", [revision.gate_skipped]))
    return Node(f"ModelDeployment {revision.deployment}", [place], [Node("revision", list(_revision(revision)), below)])


def _revision(revision: Revision) -> Iterator[str]:
    if revision.since is None:
        yield f"{revision.name}, has not taken over"
    elif revision.until is None:
        yield f"{revision.name}, serves since {format_time(revision.since)}"
    else:
        yield f"{revision.name}, served from {format_time(revision.since)} to {format_time(revision.until)}"
    if revision.version is None and revision.uri:
        yield f"{revision.uri}  {revision.digest}"


def _evaluation(found: EvaluationStatus) -> Iterator[str]:
    for one in found.metrics:
        value = f" {one.value:g}" if one.value is not None else ""
        champion = f" (champion {one.champion:g})" if one.champion is not None else ""
        where = f" where {one.segment}" if one.segment else ""
        gap = f", {one.gap:g} between the best and the worst" if one.gap is not None else ""
        yield f"{one.name}{value}{champion}{where}, of {one.rows} rows{gap}"
    yield found.digest


def _parts(lineage: Lineage) -> list[Node]:
    spec = lineage.version
    if spec is None:
        return []
    found = {
        "model": [f"{spec.uri}  ({spec.format})", spec.digest],
        "metrics": _metrics(spec),
        "parameters": [", ".join(f"{name}={_plain(value)}" for name, value in spec.parameters.items())],
        "approval": [f"{spec.approval} by {spec.approved_by or 'somebody'}"] if spec.approval else [],
        "data": list(_data(spec)),
        "code": [f"{spec.code.repository or 'repository not recorded'} @ {spec.code.revision}"] if spec.code else [],
        "image": [spec.image or ""],
        "training": _training(lineage.training),
        "cause": list(_cause(lineage.cause)),
    }
    said = {label: [lineage.unknown[label]] if label in lineage.unknown else lines for label, lines in found.items()}
    return [Node(label, lines) for label, lines in said.items() if any(lines)]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _metrics(spec: ModelVersionSpec) -> list[str]:
    own = {name: value for name, value in spec.metrics.items() if not name.startswith("champion.")}
    words = []
    for name, value in own.items():
        champion = spec.metrics.get(f"champion.{name}")
        words.append(f"{name} {value:g}" + (f" (champion {champion:g})" if champion is not None else ""))
    if not words:
        return []
    measured = f", measured on {spec.evaluation}" if spec.evaluation else ""
    champion_is = spec.champion and spec.champion.version
    against = f"; the champion was {spec.model}-{champion_is}" if champion_is else ""
    return [", ".join(words) + measured + against]


def _data(spec: ModelVersionSpec) -> Iterator[str]:
    width = max((len(one.name) for one in spec.inputs), default=0)
    for one in spec.inputs:
        yield f"{one.name:{width}}  {one.uri}"
        yield f"{'':{width}}  {one.digest or _NO_DIGEST}"


def _training(training: Training | None) -> list[str]:
    if training is None:
        return []
    status, words = training.status, f"TrainingJob {training.name}"
    if status is None:
        return [f"{words}, which is gone; all of this was recorded on the version"]
    if status.phase:
        words += f", {status.phase}"
    if status.completion_time:
        words += f" at {format_time(status.completion_time)}"
    if status.attempt and status.attempt > 1:
        words += f", attempt {status.attempt}"
    return [words]


def _cause(known: Cause | None) -> Iterator[str]:
    if known is None:
        return
    cause = known.retrain.cause
    yield cause.message or _measured(cause) or f"trigger {cause.trigger} ({cause.type})"
    if cause.revision:
        yield f"measured on {cause.revision}" + (f" ({known.measured})" if known.measured else "")
    policy = known.retrain.policy + ("" if known.policy_exists else " (gone)")
    outcome = f": {known.run.phase}" if known.run else ""
    yield f"RetrainPolicy {policy}, run {known.retrain.run}, trigger {cause.trigger}{outcome}"


def _measured(cause: api.Cause) -> str:
    if cause.metric is None or cause.value is None or cause.limit is None:
        return ""
    return f"{cause.metric} is {cause.value:g}, limit {cause.limit:g}"


def _drawn(node: Node, width: int = 0) -> Iterator[str]:
    yield from _lines(node, width)
    width = max((len(one.label) for one in node.below), default=0)
    for one in node.below:
        last = one is node.below[-1]
        for index, line in enumerate(_drawn(one, width)):
            yield ("└─ " if last else "├─ ") + line if not index else ("   " if last else "│  ") + line


def _lines(node: Node, width: int) -> Iterator[str]:
    """The label once, what it says beside it; the tree's own line goes on below a node that has others below it."""
    bar = "│" if node.below else " "
    for index, line in enumerate(node.lines or [""]):
        label = node.label if not index else bar
        yield f"{label:{width}}  {line}".rstrip()
