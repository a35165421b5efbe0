"""How often policies start runs where nothing changed, and how long they take to where something did."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import mean
from typing import Any

import numpy as np

from perennial.agent import detection
from perennial.api.detect import DetectTask
from perennial.api.resources import JOBS, METRICSERIES
from perennial.metricseries.series import Sample, fold
from perennial.plan import Body
from tests.quality.streams import DAYS, STREAMS, Stream
from tests.unit.retrainpolicy.builders import NOW, Team, a_deployment, a_policy, a_series

_SEEDS = 8


def limit(stream: Stream) -> Body:
    """What most people write: an hour's mean, so much worse than the champion was, for half an hour."""
    worst = stream.worth()[0][0].mean()
    bound = {"below": worst - 0.05} if stream.falls else {"above": worst * 1.25}
    return {"metric": {"name": "accuracy", "window": "1h", "minSamples": 50, "for": "30m", **bound}}


def by(detector: str) -> Callable[[Stream], Body]:
    """The trigger that needs no limit."""

    def trigger(stream: Stream) -> Body:
        way = "Down" if stream.falls else "Up"
        return {"conceptDrift": {"metric": "accuracy", "detector": detector, "direction": way}}

    return trigger


RULES: dict[str, Callable[[Stream], Body]] = {
    "0.05 (a quarter) worse for 30m": limit,
    "`ADWIN`": by("ADWIN"),
    "`PageHinkley`": by("PageHinkley"),
}


@dataclass
class Played:
    """What became of a policy. `delays`: hours; of what was not seen before the next change or the end, nothing."""

    quiet: int = 0
    false: int = 0
    changes: int = 0
    delays: list[float] = field(default_factory=list)


def play(stream: Stream, rule: str, seed: int) -> Played:
    """One policy over ten days, looked at each half an hour, by the decisions of the operator and its agent."""
    draw, found = np.random.default_rng(seed), Played(changes=len(stream.changes))
    trigger = {"name": "worse", **RULES[rule](stream)}
    team = Team(a_policy(trigger, cooldown="1h"), a_deployment(promoted=NOW))
    model, waits = 0, list(stream.changes)
    begun: float | None = None
    for half in range(1, DAYS * 48 + 1):
        now = half / 48
        while waits and waits[0] <= now:
            begun = waits.pop(0)
        at = [now - (30 - minute) / 1440 for minute in range(30)]
        _report(team, [stream.report(model, day, draw) for day in at], stream.each)
        team.after(minutes=30)
        _looked(team.settle())
        quiet = stream.quiet(model, now)
        found.quiet += quiet and not half % 2
        if not (team.made and team.status.get("active")):
            continue
        found.false += quiet
        if begun is not None:
            found.delays.append(24 * (now - begun))
            begun = None
        model = stream.world(now)
        _trained(team)
    return found


def _report(team: Team, values: list[float], each: int) -> None:
    """One for each of the next minutes."""
    of = team.deployment["status"]["stableRevision"]
    samples = [
        Sample("accuracy", value, (team.now + timedelta(minutes=at)).timestamp(), of, each)
        for at, value in enumerate(values)
    ]
    before = team.world.get(METRICSERIES, "team", "churn") or a_series()
    team.world.add(fold(before, samples, team.now + timedelta(minutes=len(values))))


def _looked(team: Team) -> None:
    """The agent's part of a look that is under way."""
    job = team.world.get(JOBS, "team", team.sent[-1]) if team.sent else None
    if job is None or "status" in job:
        return
    (container,) = job["spec"]["template"]["spec"]["containers"]
    task = DetectTask.model_validate_json(container["env"][0]["value"])
    team.looked(detection.run(task).to_json()).settle()
    # The control plane removes them in time.
    team.world.remove(job)


def _trained(team: Team) -> None:
    team.succeeds().settle()
    team.promotes().settle()


def _all(case: tuple[int, str]) -> Played:
    stream, total = STREAMS[case[0]], Played()
    for seed in range(_SEEDS):
        one = play(stream, case[1], seed)
        total.quiet += one.quiet
        total.false += one.false
        total.changes += one.changes
        total.delays += one.delays
    return total


def main() -> None:
    """Print the table."""
    cases: list[tuple[int, str]] = [(at, rule) for at in range(len(STREAMS)) for rule in RULES]
    with ProcessPoolExecutor() as pool:
        found: dict[Any, Played] = dict(zip(cases, pool.map(_all, cases), strict=True))
    print(f"| Stream | {' | '.join(RULES)} |")
    print(f"|---|{'---|' * len(RULES)}")
    for at, stream in enumerate(STREAMS):
        print(f"| {stream.name} | {' | '.join(_cell(found[at, rule]) for rule in RULES)} |")


def _cell(played: Played) -> str:
    false = f"{1000 * played.false / played.quiet:.1f} false"
    if not played.changes:
        return false
    missed = played.changes - len(played.delays)
    late = f"after {mean(played.delays):.1f} h" if played.delays else "never"
    return f"{false}; {late}" + (f"; {missed} of {played.changes} missed" if missed else "")
