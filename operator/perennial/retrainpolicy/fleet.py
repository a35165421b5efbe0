"""What the policies of all namespaces share: how many retrainings may be under way at once, and whose turn it is."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import Body, format_time, parse_duration, read_time
from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.api.retrainpolicy import Run, RunPhase
from perennial.config import Retraining
from perennial.jobs import job_condition
from perennial.view import View

# How often a run looks whether it is its turn.
_EVERY = timedelta(seconds=10)
# What the message of a run begins with that was not refused.
_TURN, _LATER = "waits for its turn", "starts at "
# One that was replaced has its TrainingJob until that is gone.
_HAVE_ONE = (RunPhase.PENDING, RunPhase.TRAINING, RunPhase.REPLACED)


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """A run that has no TrainingJob yet. Those that a person asked for come first, then the oldest; last, for they keep
    nobody off, those that were refused, by a quota say.
    """

    refused: bool
    unasked: bool
    since: str
    draw: int
    policy: str
    number: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many retrainings of each namespace are under way, and which runs wait."""

    running: Mapping[str, int]
    waiting: Mapping[str, Sequence[Waiting]]

    def next(self, most: int) -> list[Waiting]:
        """The runs that may begin, so that at most so many are under way: one from where the fewest are, and again."""
        running = Counter(self.running)
        queues = {namespace: sorted(waiting, reverse=True) for namespace, waiting in self.waiting.items()}
        found: list[Waiting] = []
        while queues and running.total() < most:
            namespace = min(queues, key=lambda one: (queues[one][-1].refused, running[one], queues[one][-1]))
            found.append(queues[namespace].pop())
            running[namespace] += 1
            if not queues[namespace]:
                del queues[namespace]
        return found


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a run may not begin yet, and when to look again."""

    message: str
    until: datetime


def gather(view: View) -> Fleet:
    """What is under way, and what waits, of all policies."""
    running: Counter[str] = Counter()
    waiting: dict[str, list[Waiting]] = {}
    for policy in view.everywhere(RETRAINPOLICIES):
        status, metadata = policy.get("status") or {}, policy["metadata"]
        if not status.get("active"):
            continue
        for run in status.get("runs") or ():
            job = view.get(TRAININGJOBS, metadata["namespace"], run.get("trainingJob") or "")
            if job is not None and run["phase"] in _HAVE_ONE:
                running[metadata["namespace"]] += not job_condition(job, "Complete", "Failed")
            elif run["phase"] == RunPhase.PENDING and not policy["spec"].get("suspend"):
                waiting.setdefault(metadata["namespace"], []).append(_waiting(metadata["uid"], run))
    return Fleet(running, waiting)


def waits(uid: str, runs: Iterable[Run], fleet: Fleet | None, rules: Retraining, now: datetime) -> dict[int, Wait]:
    """Which of a policy's runs, of those that have no TrainingJob yet, may not begin, by their numbers."""
    found: dict[int, Wait] = {}
    jitter = parse_duration(rules.jitter)
    turns = fleet.next(rules.max_concurrent) if fleet and rules.max_concurrent else []
    for run in runs:
        me = _waiting(uid, run.body())
        due = run.start_time + timedelta(seconds=jitter.total_seconds() * me.draw // 2**32)
        # Where the clock was set back, it would wait for longer than anybody said.
        if now < due <= now + jitter and me.unasked:
            found[run.number] = Wait(f"{_LATER}{format_time(due)}: not all at once (retraining.jitter)", due)
        elif rules.max_concurrent and me not in turns:
            words = f"{_TURN}: {rules.max_concurrent} retrainings may be under way at once (retraining.maxConcurrent)"
            found[run.number] = Wait(words, now + _EVERY)
    return found


def crossings(policies: Iterable[Body], begin: datetime, end: datetime) -> dict[tuple[str, str], datetime]:
    """Which policies, by namespace and name, have a limit that is crossed since a time from `begin` to `end`, and since
    when."""
    first, last = format_time(begin), format_time(end)
    found: dict[tuple[str, str], datetime] = {}
    for policy in policies:
        triggers = (policy.get("status") or {}).get("triggers") or ()
        times = [since for row in triggers if first <= (since := row.get("crossedSince") or "") <= last]
        if times:
            metadata = policy["metadata"]
            found[metadata["namespace"], metadata["name"]] = read_time(min(times)) or begin
    return found


def _waiting(uid: str, run: Body) -> Waiting:
    draw = zlib.crc32(f"{uid}/{run['number']}".encode())
    refused = not (run.get("message") or _TURN).startswith((_TURN, _LATER))
    return Waiting(refused, run["cause"]["type"] != "Request", run["startTime"], draw, uid, run["number"])
