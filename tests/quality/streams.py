"""Streams of what a model's predictions are worth, with known times at which the world changes.

Each has two worlds, a model trained in each, and what both models' predictions are worth in both: of generators of
river's, and of scikit-learn's digits. A minute's report is drawn from that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river.datasets import synth
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Values = NDArray[np.float64]
DAYS = 10
CHANGE = 5.0  # the day
_TRAINED, _TRIED = 3000, 3000

# What each sample is worth, by the world that the model was trained in, and the world that asks it.
Worth = tuple[tuple[Values, Values], tuple[Values, Values]]


@dataclass(frozen=True)
class Stream:
    """`worth`: of the predictions. `other`: the share of requests that come from the other world, by the day.
    `changes`: the days on which it begins to change, for so many days as it `lasts`. `each`: samples in a minute.
    `falls`: whether less is worse."""

    name: str
    worth: Callable[[], Worth]
    other: Callable[[float], float]
    changes: tuple[float, ...] = ()
    lasts: float = 0.0
    each: int = 10
    falls: bool = True

    def quiet(self, model: int, day: float) -> bool:
        """Whether a training would bring nothing: this model is of the world that there is, and that stays as it is."""
        changing = any(one <= day < one + self.lasts for one in self.changes)
        return not changing and model == self.world(day)

    def world(self, day: float) -> int:
        """The one that most requests come from."""
        return int(self.other(day) > 0.5)

    def report(self, model: int, day: float, draw: np.random.Generator) -> float:
        """The mean of a minute's samples."""
        one, other = self.worth()[model]
        elsewhere = draw.random(self.each) < self.other(day)
        return float(np.where(elsewhere, draw.choice(other, self.each), draw.choice(one, self.each)).mean())


def _worth(worlds: list[tuple[Values, Values]], make: Callable[[], Any], error: bool) -> Worth:
    models = [make().fit(rows[:_TRAINED], wanted[:_TRAINED]) for rows, wanted in worlds]

    def of(model: Any, rows: Values, wanted: Values) -> Values:
        said = model.predict(rows[_TRAINED:])
        return np.abs(said - wanted[_TRAINED:]) if error else (said == wanted[_TRAINED:]).astype(np.float64)

    first, second = ((of(model, *worlds[0]), of(model, *worlds[1])) for model in models)
    return first, second


def _taken(generator: Any, skip: int = 0) -> tuple[Values, Values]:
    rows = list(generator.take(skip + _TRAINED + _TRIED))[skip:]
    return np.array([list(row.values()) for row, _ in rows]), np.array([float(wanted) for _, wanted in rows])


@cache
def sea() -> Worth:
    """Street and Kim, 2001: another threshold, with a tenth of the labels wrong."""
    worlds = [_taken(synth.SEA(variant=variant, noise=0.1, seed=variant)) for variant in (2, 3)]
    return _worth(worlds, lambda: DecisionTreeClassifier(max_depth=6, random_state=0), error=False)


@cache
def friedman() -> Worth:
    """Friedman's function, and what Ikonomovska made of it: another one everywhere."""
    length = _TRAINED + _TRIED
    worlds = [
        _taken(synth.FriedmanDrift(drift_type="gra", position=(2 * length, 3 * length), seed=7)),
        _taken(synth.FriedmanDrift(drift_type="gra", position=(1, 10**9), seed=8), skip=2),
    ]
    return _worth(worlds, lambda: DecisionTreeRegressor(max_depth=7, random_state=0), error=True)


@cache
def digits() -> Worth:
    """Handwritten digits; in the other world 3 and 8 change their names."""
    draw = np.random.default_rng(5)
    images, names = load_digits(return_X_y=True)
    chosen = np.concatenate([draw.integers(0, 1200, _TRAINED), draw.integers(1200, len(images), _TRIED)])
    here = names[chosen].astype(np.float64)
    there = np.where(here == 3, 8.0, np.where(here == 8, 3.0, here))
    worlds = [(images[chosen], here), (images[chosen], there)]
    return _worth(worlds, lambda: LogisticRegression(max_iter=200), error=False)


def _never(_: float) -> float:
    return 0.0


def _at_once(day: float) -> float:
    return float(day >= CHANGE)


def _slowly(day: float) -> float:
    return float(np.clip((day - CHANGE) / 3, 0, 1))


def _for_a_while(day: float) -> float:
    return float(CHANGE <= day < CHANGE + 2.5)


def _by_night(day: float) -> float:
    return 0.1 * (1 + np.sin(2 * np.pi * day))


STREAMS = (
    Stream("SEA, none", sea, _never),
    Stream("digits, none, a sample a minute", digits, _never, each=1),
    Stream("SEA, none, but for day and night", sea, _by_night),
    Stream("SEA, abrupt", sea, _at_once, (CHANGE,)),
    Stream("SEA, gradual, over three days", sea, _slowly, (CHANGE,), lasts=3),
    Stream("digits, recurring, after 2.5 days", digits, _for_a_while, (CHANGE, CHANGE + 2.5)),
    Stream("Friedman, abrupt", friedman, _at_once, (CHANGE,), falls=False),
)
