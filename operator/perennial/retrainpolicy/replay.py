"""Plays a policy over what a deployment reported: when it would have started a run, and what would have held one back.

The same decisions as ever, of a dry run, with the clock of then.

What is older is known less sharply: for an hour by the minute, for 12 hours by the quarter of an hour, before that by
the day. In between values are taken to have been the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perennial.api.base import format_time, parse_time
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, Resource
from perennial.api.retrainpolicy import Run, Skip
from perennial.config import Config
from perennial.metricseries.book import TIERS
from perennial.metricseries.bucket import read
from perennial.metricseries.sample import Sample
from perennial.metricseries.series import Full, fold
from perennial.plan import Body, Plan
from perennial.questions import Answer, Query, Question
from perennial.retrainpolicy.accelerators import asked_for
from perennial.retrainpolicy.decide import decide
from perennial.retrainpolicy.snapshot import gather
from perennial.view import Refusal

_QUARTER = 900
# How often it is looked at, at least: as sharp as what is known.
_STEP, _FINE_STEP, _FINE = timedelta(minutes=5), timedelta(minutes=1), timedelta(hours=12)


@dataclass(frozen=True)
class History:
    """What is known of the past: the ModelDeployment with its promotions, its MetricSeries, and the ModelVersions; and,
    where somebody knows it, what Prometheus would have answered then, and how long a training takes."""

    deployment: Body
    series: Body | None
    versions: Sequence[Body] = ()
    prometheus: Callable[[Query], Answer] | None = None
    took: timedelta | None = None


@dataclass
class Replayed:
    """`runs` that would have started, and causes that were `held`, oldest first; `left_out` is of what the past
    is not known, triggers by their names, with why."""

    runs: list[Run] = field(default_factory=list)
    held: list[Skip] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def replay(policy: Body, history: History, since: datetime, until: datetime) -> Replayed:
    """The policy over this time. ValueError says why it cannot be: its spec is wrong, or nothing of it is known."""
    result = Replayed()
    known = deepcopy(policy)
    known["spec"]["dryRun"], known["spec"]["suspend"] = True, False
    triggers = known["spec"].get("triggers") or []
    result.left_out = {one["name"]: words for one in triggers if (words := _unknown(one, history))}
    known["spec"]["triggers"] = [one for one in triggers if one["name"] not in result.left_out]
    if not known["spec"]["triggers"]:
        raise ValueError("none of its triggers can be replayed")
    if result.left_out and known["spec"].get("when") == "All":
        raise ValueError(f"spec.when is All, and nothing is known of {', '.join(result.left_out)}")
    if (known["spec"].get("budget") or {}).get("acceleratorHours") and (words := _unmetered(known, history)):
        result.left_out["budget.acceleratorHours"] = words
    past = _Past(known, history, since)
    runs: dict[int, Run] = {}
    held: dict[tuple[str, datetime], Skip] = {}
    now = since
    while now <= until:
        wait = past.look(now)
        for run in past.snapshot.status.runs:
            runs[run.number] = run
        for skip in past.snapshot.status.skipped:
            held[skip.trigger, skip.time] = skip
        step = _FINE_STEP if until - now <= _FINE else _STEP
        now = min(past.news_after(now), now + max(wait, step))
    result.runs = [runs[number] for number in sorted(runs)]
    result.held = sorted(held.values(), key=lambda one: one.time)
    return result


def _unknown(trigger: Body, history: History) -> str:
    """Why the past of a trigger is not known; empty where it is."""
    if trigger.keys() & {"data", "drift"}:
        return "what its data was like is not on record"
    if "conceptDrift" in trigger:
        return "its detector runs in a Job only"
    source = next(iter((trigger.get("metric") or {}).get("source") or {"reported": {}}))
    if source == "prometheus":
        return "" if history.prometheus else "nobody says what Prometheus would have answered: give --prometheus"
    return "" if source == "reported" else f"what {source} said is not on record"


def _unmetered(policy: Body, history: History) -> str:
    """Why nobody knows what a run would have used of accelerators; empty where somebody does."""
    if asked_for(policy["spec"]["trainingJobTemplate"]["spec"], Config()) is None:
        return "what the preset of spec.runtime asks for is not known here"
    return "" if history.took else "no training of the model has succeeded yet, which would say how long one takes"


class _Past:
    """The cluster as it was at a time that only goes on. Implements `View`."""

    def __init__(self, policy: Body, history: History, since: datetime) -> None:
        metadata = policy.setdefault("metadata", {})
        metadata.setdefault("name", "policy")
        metadata.setdefault("namespace", history.deployment["metadata"].get("namespace", "default"))
        metadata |= {"uid": "replay", "generation": 1, "creationTimestamp": format_time(since)}
        annotations = metadata.get("annotations") or {}
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != ANNOTATION_RUN_REQUEST}
        policy.pop("status", None)
        self._policy, self._history = policy, history
        self._samples = sorted(_samples(history.series), key=lambda one: one.time)
        self._next = 0
        self._series: Body | None = None
        self._deployment = deepcopy(history.deployment)
        self._answers: dict[Question, Answer] = {}

    def look(self, now: datetime) -> timedelta:
        """Decide once more, with what is known by then; how long it is sure to stay so."""
        new = []
        while self._next < len(self._samples) and self._samples[self._next].time <= now.timestamp():
            new.append(self._samples[self._next])
            self._next += 1
        if new:
            # As then: for some there was no room.
            with suppress(Full):
                self._series = fold(self._series, new, now)
        status = self._deployment.setdefault("status", {})
        status["promotions"] = [one for one in self._promotions() if parse_time(one["time"]) <= now]
        status["stableRevision"] = next((one["revision"] for one in status["promotions"]), None)
        status.pop("rollout", None)
        namespace, name = self._policy["metadata"]["namespace"], self._policy["metadata"]["name"]
        self._answers = {}
        plan = self._decide(namespace, name, now)
        if asked := [question for question in plan.questions if isinstance(question, Query)]:
            assert self._history.prometheus
            self._answers = {question: self._history.prometheus(question) for question in asked}
            plan = self._decide(namespace, name, now)
        self._policy["status"] = self._metered(plan.status or {})
        again = gather(self, namespace, name)
        assert again
        self.snapshot = again
        return timedelta(days=1) if plan.requeue_after is None else timedelta(seconds=plan.requeue_after)

    def _decide(self, namespace: str, name: str, now: datetime) -> Plan:
        snapshot = gather(self, namespace, name)
        assert snapshot
        if snapshot.spec is None:
            raise ValueError(snapshot.invalid)
        return decide(snapshot, now, Config())

    def _metered(self, status: Body) -> Body:
        """The same with what the trainings of its runs would have used."""
        each = asked_for(self._policy["spec"]["trainingJobTemplate"]["spec"], Config())
        if each and (took := self._history.took):
            for run in status.get("runs") or ():
                use = {"accelerators": each, "acceleratorSeconds": each * int(took.total_seconds())}
                until = format_time(parse_time(run["startTime"]) + took)
                run.setdefault("acceleratorUse", use | {"until": until})
        return status

    def news_after(self, now: datetime) -> datetime:
        """When the next sample came, or another revision was promoted."""
        news = [time for one in self._promotions() if (time := parse_time(one["time"])) > now]
        if self._next < len(self._samples):
            news.append(datetime.fromtimestamp(self._samples[self._next].time, now.tzinfo))
        return min(news, default=datetime.max.replace(tzinfo=now.tzinfo))

    def _promotions(self) -> Sequence[Body]:
        return (self._history.deployment.get("status") or {}).get("promotions") or ()

    def get(self, resource: Resource, namespace: str, name: str) -> Body | None:
        known = {RETRAINPOLICIES: self._policy, MODELDEPLOYMENTS: self._deployment, METRICSERIES: self._series}
        return known.get(resource)

    def list(self, resource: Resource, namespace: str) -> Sequence[Body]:
        return self._history.versions if resource == MODELVERSIONS else ()

    def everywhere(self, resource: Resource) -> Sequence[Body]:
        return ()

    def owned(self, resource: Resource, uid: str) -> Sequence[Body]:
        return ()

    def indexed(self, resource: Resource, namespace: str, value: str) -> Sequence[Body]:
        return ()

    def refusal(self, resource: Resource, namespace: str, name: str) -> Refusal | None:
        return None

    def explanation(self, resource: Resource, namespace: str, name: str) -> str | None:
        return None

    def answers(self, resource: Resource, namespace: str, name: str) -> Mapping[Question, Answer]:
        return self._answers


def _samples(series: Body | None) -> Iterator[Sample]:
    """What was reported, as far as it is still known: a bucket of a day as a sample for each quarter of an hour."""
    for row in ((series or {}).get("status") or {}).get("series") or ():
        for tier in TIERS:
            for bucket in filter(None, map(read, row.get(tier.name) or ())):
                parts = min(bucket.count, max(1, tier.step // _QUARTER))
                each, rest = divmod(bucket.count, parts)
                for part in range(parts):
                    # At its end: before, it was not known.
                    time = bucket.start + (part + 1) * tier.step / parts
                    count = each + (part < rest)
                    yield Sample(row["metric"], bucket.sum / bucket.count, time, row["revision"], count)
