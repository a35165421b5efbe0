"""How often `gate.evaluation` promotes a version that is truly so much better or worse than the champion."""

from collections.abc import Callable

import numpy as np

from perennial.agent.evaluation.judge import measured
from perennial.agent.evaluation.values import Pairs
from perennial.api.evaluate import Limit

ROWS = (200, 1000, 5000, 20_000)
LEADS = (-0.03, -0.01, 0.0, 0.01, 0.03)
_TRIES = 1000
# A model that was trained again says the same of most rows: of so many it does not.
_APART = 0.06
_CHAMPION = 0.9
_CONFIDENCE = 0.95

Rule = Callable[[Pairs], bool]


def of_limit(**limit: float) -> Rule:
    """The rule of one limit on Accuracy."""
    asked = Limit.model_validate({"name": "Accuracy", **limit})
    return lambda pairs: not measured(asked, pairs, _CONFIDENCE, None).missed


def by_sight(pairs: Pairs) -> bool:
    """What scripts do: the greater number wins."""
    return bool(np.mean(pairs.challenger == pairs.labels) >= np.mean(pairs.champion == pairs.labels))


RULES: dict[str, Rule] = {
    "the greater number": by_sight,
    "`noWorseThanChampionBy: 0.01`": of_limit(noWorseThanChampionBy=0.01),
    "`betterThanChampionBy: 0`": of_limit(betterThanChampionBy=0),
}


def drawn(rows: int, lead: float, seed: int) -> Pairs:
    """Rows that both are right about, one of them, or none; the challenger truly leads by `lead`."""
    won, lost = (_APART + lead) / 2, (_APART - lead) / 2
    both = _CHAMPION - lost
    draw = np.random.default_rng(seed)
    sort = draw.choice(4, rows, p=[both, won, lost, 1 - both - won - lost])
    right = np.isin(sort, (0, 2)), np.isin(sort, (0, 1))
    return Pairs(np.ones(rows), *(one.astype(np.float64) for one in right))


def main() -> None:
    """Print the table."""
    heads = [f"{lead:+g}" if lead else "as good" for lead in LEADS]
    print(f"| Rows | Limit on `Accuracy` | {' | '.join(heads)} |")
    print(f"|---:|---|{'---:|' * len(LEADS)}")
    for rows in ROWS:
        for name, rule in RULES.items():
            cells = [sum(rule(drawn(rows, lead, seed)) for seed in range(_TRIES)) for lead in LEADS]
            shares = " | ".join(f"{one * 100 / _TRIES:.1f}" for one in cells)
            print(f"| {rows:,} | {name} | {shares} |", flush=True)
