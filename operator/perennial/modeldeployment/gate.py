"""The gate: what a version must have measured before it may take the traffic of a deployment."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from perennial.api.base import digest_of
from perennial.api.gate import Gate, GateMetric

# Reasons, for programs.
NOT_PASSED, NOT_COMPUTABLE = "GateNotPassed", "GateNotComputable"


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known of a model's quality. `champion_digest`: the model that the `champion.*` metrics belong to."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluation: str | None = None
    champion_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that serves now."""

    digest: str
    scores: Scores = Scores()


@dataclass(frozen=True, slots=True)
class Miss:
    """A limit that is not kept, or that cannot be computed."""

    reason: str
    message: str


def evaluation_hash(gate: Gate | None) -> str | None:
    """By which one evaluation is told from another; None where there is none."""
    return digest_of(gate.evaluation.told()) if gate and gate.evaluation else None


def misses(gate: Gate, challenger: Scores, champion: Champion | None) -> Iterator[Miss]:
    """Every limit that the challenger does not keep. Without a champion only the absolute limits are asked."""
    for metric in gate.metrics:
        value = challenger.metrics.get(metric.name)
        if value is None:
            yield Miss(
                NOT_COMPUTABLE,
                f"{metric.name} was not measured: have the training write it to $PERENNIAL_METRICS_FILE",
            )
            continue
        if metric.min is not None and value < metric.min:
            yield Miss(NOT_PASSED, f"{metric.name} {value:g} is below the minimum {metric.min:g}")
        if metric.max is not None and value > metric.max:
            yield Miss(NOT_PASSED, f"{metric.name} {value:g} is above the maximum {metric.max:g}")
        if metric.no_worse_than_champion_by is not None and champion is not None:
            yield from _paired(metric, metric.no_worse_than_champion_by, value, challenger, champion)


def _paired(metric: GateMetric, allowed: float, value: float, challenger: Scores, champion: Champion) -> Iterator[Miss]:
    score = champion_score(metric.name, challenger, champion)
    if score is None and f"champion.{metric.name}" in challenger.metrics:
        yield Miss(
            NOT_COMPUTABLE,
            f"champion.{metric.name} was measured on another model than the one that serves now (spec.champion of the "
            "ModelVersion says on which): train again, or have both versions name one `evaluation`",
        )
        return
    if score is None:
        yield Miss(
            NOT_COMPUTABLE,
            f"{metric.name} of the champion on the same data is not known: have the training score "
            f"$PERENNIAL_CHAMPION_DIR and write champion.{metric.name}, or have both versions name one `evaluation`",
        )
        return
    worse = value - score if metric.lower_is_better else score - value
    # 0.95 - 0.94 is a little more than 0.01 in binary: people mean the decimal numbers that they wrote.
    if worse > allowed and not math.isclose(worse, allowed, rel_tol=1e-9, abs_tol=1e-12):
        yield Miss(
            NOT_PASSED,
            f"{metric.name} {value:g} is worse than the champion's {score:g} by {worse:.6g}; allowed is {allowed:g}",
        )


def champion_score(name: str, challenger: Scores, champion: Champion) -> float | None:
    """The champion's score on the data that the challenger was scored on; None when there is none.

    An old score on other data is no answer: once the data moved it would block the very version that is needed.
    """
    if challenger.champion_digest == champion.digest:
        score = challenger.metrics.get(f"champion.{name}")
        if score is not None:
            return score
    if challenger.evaluation and challenger.evaluation == champion.scores.evaluation:
        return champion.scores.metrics.get(name)
    return None
