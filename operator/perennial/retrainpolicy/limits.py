"""What keeps a cause from starting a run: ordered rules, of which the first that holds gives the reason."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.base import format_time, parse_duration
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.retrainpolicy import MAX_RUNS, Cause, ConcurrencyPolicy, RetrainPolicySpec, RunPhase
from perennial.config import Retraining
from perennial.retrainpolicy import accelerators
from perennial.retrainpolicy.book import UNDER_WAY, UNPROMOTED, Book
from perennial.retrainpolicy.children import WORDS, unknown_words
from perennial.retrainpolicy.fleet import crossings
from perennial.retrainpolicy.probation import serves
from perennial.retrainpolicy.quiet import quiet_until
from perennial.retrainpolicy.schedule import parse
from perennial.retrainpolicy.snapshot import Snapshot

# Causes that a model which was not replaced, or an outage, brings again and again.
MEASURED = frozenset({"Metric", "Drift", "ConceptDrift"})
# The rest after runs that were not promoted, in seconds, where the cooldown is shorter: a breach outlives a run that
# fails at once, and would start the next in the same second.
_FIRST_REST = 10.0
_LONGEST_REST = 3600.0
# With nothing to go back to it keeps serving: then only the next version helps.
_ROLLING_BACK = timedelta(minutes=10)
# Metrics are looked at every 30 s: after that the crossings of one outage are known of all.
_SETTLING = timedelta(seconds=45)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why no run may start. `until` is when to look again, where that is known. `recorded`: whether a cause that it
    holds is one that started nothing. `notice`: what people are told of it, whoever holds for the same reason."""

    reason: str
    message: str
    until: datetime | None = None
    recorded: bool = True
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A cause that wants to start a run, and all that its limits depend on. since: see `Look`."""

    cause: Cause
    snapshot: Snapshot
    spec: RetrainPolicySpec
    book: Book
    since: datetime | None
    rules: Retraining

    @property
    def by_hand(self) -> bool:
        return self.cause.type == "Request"


def suspended(attempt: Attempt) -> Hold | None:
    """Nothing starts while the policy is suspended; requests by hand wait."""
    return Hold("Suspended", "spec.suspend is true") if attempt.spec.suspend else None


def misconfigured(attempt: Attempt) -> Hold | None:
    """A run whose model could not be served would be wasted."""
    return trouble(attempt.snapshot, attempt.spec, attempt.book)


def unpromoted(attempt: Attempt) -> Hold | None:
    """After so many runs in a row without a promotion a person must look; a request by hand is the sign of it."""
    return None if attempt.by_hand else stalled_by_runs(attempt.snapshot, attempt.spec, attempt.book)


def rolling_back(attempt: Attempt) -> Hold | None:
    """While a version that relapsed still serves, its metric says nothing of the one that comes back."""
    run = next((one for one in attempt.book.runs if one.relapse_time), None)
    if attempt.by_hand or run is None or run.relapse_time is None:
        return None
    until = run.relapse_time + _ROLLING_BACK
    if attempt.book.now >= until or not serves(attempt.snapshot.serving, run):
        return None
    return Hold(
        "RollingBack", f"{run.model_version} of run {run.number} relapsed, and is rolled back (spec.watch)", until
    )


def run_under_way(attempt: Attempt) -> Hold | None:
    """concurrencyPolicy. A rollout is never replaced: it is about to succeed or to be rolled back."""
    policy = attempt.spec.concurrency_policy
    blocking = [
        run
        for run in attempt.book.under_way
        if policy is ConcurrencyPolicy.FORBID
        or (policy is ConcurrencyPolicy.REPLACE and run.phase is RunPhase.ROLLING_OUT)
    ]
    if not blocking:
        return None
    return Hold("RunUnderWay", f"run {blocking[0].number} is under way (concurrencyPolicy {policy})")


def too_many(attempt: Attempt) -> Hold | None:
    """A run that is under way must not drop out of the runs that are remembered."""
    runs = attempt.book.runs
    if len(runs) < MAX_RUNS or runs[-1].phase not in UNDER_WAY:
        return None
    return Hold("TooManyRuns", f"run {runs[-1].number} is still under way, and {MAX_RUNS - 1} began after it")


def cooldown(attempt: Attempt) -> Hold | None:
    """A rest after the end of the last run."""
    if attempt.by_hand:
        return None
    ends = [run.completion_time for run in attempt.book.runs if run.completion_time]
    if not ends:
        return None
    rest = parse_duration(attempt.spec.cooldown)
    failed = attempt.book.unpromoted
    if attempt.cause.type in MEASURED and failed:
        backoff = timedelta(seconds=min(_LONGEST_REST, _FIRST_REST * 2 ** min(failed - 1, 30)))
        rest = max(rest, backoff)
    until = max(ends) + rest
    if attempt.book.now >= until:
        return None
    by_cooldown = rest == parse_duration(attempt.spec.cooldown)
    words = "rests after the last run" + ("" if by_cooldown else ", which was not promoted,")
    words += f" until {format_time(until)}" + (" (spec.cooldown)" if by_cooldown else "")
    return Hold("Cooldown", words, until)


def budget(attempt: Attempt) -> Hold | None:
    """So many runs in a sliding period; those asked for by hand count and are counted."""
    limit = attempt.spec.budget
    if limit is None or limit.runs is None:
        return None
    starts = sorted((run.start_time for run in attempt.book.runs), reverse=True)
    if len(starts) < limit.runs:
        return None
    until = starts[limit.runs - 1] + parse_duration(limit.per)
    if attempt.book.now >= until:
        return None
    words = f"{limit.runs} runs in {limit.per} are spent until {format_time(until)} (spec.budget)"
    return Hold("BudgetSpent", words, until)


def accelerator_hours(attempt: Attempt) -> Hold | None:
    """So many accelerator-hours in a sliding period. How many a run will use nobody knows: the last may go beyond."""
    limit, book = attempt.spec.budget, attempt.book
    if limit is None or limit.accelerator_hours is None:
        return None
    per, allowed = parse_duration(limit.per), limit.accelerator_hours * 3600
    used = accelerators.used(book.accelerator_use, per, book.now)
    if used < allowed:
        return None
    until = accelerators.room(book.accelerator_use, allowed, per, book.now)
    when = f"until {format_time(until)}" if until else "until a training that goes on has ended"
    words = (
        f"{used // 3600} of {limit.accelerator_hours} accelerator-hours in {limit.per} are spent {when} (spec.budget)"
    )
    return Hold("BudgetSpent", words, until)


def quiet(attempt: Attempt) -> Hold | None:
    """quietHours."""
    found = None if attempt.by_hand else quiet_until(attempt.spec.quiet_hours, attempt.book.now)
    if found is None:
        return None
    name, until = found
    return Hold("QuietHours", f"it is quiet until {format_time(until)} (spec.quietHours[{name}])", until)


def storm(attempt: Attempt) -> Hold | None:
    """Limits of many policies that are crossed within a short time are one outage: no model has decayed."""
    rule, now = attempt.rules.storm, attempt.book.now
    if rule is None or attempt.since is None or attempt.cause.type not in MEASURED:
        return None
    if len(attempt.snapshot.policies) < rule.policies:
        return None
    since, within = min(attempt.since, now), parse_duration(rule.within)
    settled = since + _SETTLING
    ends = settled + parse_duration(rule.hold)
    near = crossings(attempt.snapshot.policies, since - within, since + within)
    near[attempt.snapshot.namespace, attempt.snapshot.name] = since
    if len(near) >= rule.policies and now < ends:
        many = f"the limits of {len(near)} policies were crossed within {rule.within}"
        words = f"{many}: held as one outage until {format_time(ends)}, unless it recovers (retraining.storm)"
        first = min((time, *where) for where, time in near.items())
        mine = first[1:] == (attempt.snapshot.namespace, attempt.snapshot.name)
        notice = f"{many}, and no run is started for it until {format_time(ends)}" if mine else ""
        return Hold("Storm", words, ends, notice=notice)
    if now < settled:
        words = f"waits until {format_time(settled)} to see whether many have the same trouble (retraining.storm)"
        return Hold("Settling", words, settled, recorded=False)
    return None


RULES: tuple[Callable[[Attempt], Hold | None], ...] = (
    suspended,
    misconfigured,
    unpromoted,
    rolling_back,
    run_under_way,
    too_many,
    cooldown,
    budget,
    accelerator_hours,
    quiet,
    storm,
)


def first(attempt: Attempt) -> Hold | None:
    """The first rule that holds the attempt back."""
    return next((hold for rule in RULES if (hold := rule(attempt))), None)


def trouble(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book) -> Hold | None:
    """What a person must change before any run may start."""
    name = spec.deployment.name
    if snapshot.deployment is None:
        return Hold("DeploymentNotFound", f"spec.deployment.name: there is no ModelDeployment {name} in this namespace")
    serves = (snapshot.deployment["spec"].get("model") or {}).get("name")
    trains = (snapshot.template.get("model") or {}).get("name")
    if serves is None:
        words = f"ModelDeployment {name} serves files by uri, which no training replaces; give it spec.model.name"
        return Hold("ModelMismatch", words)
    if trains != serves:
        words = f"spec.trainingJobTemplate.spec.model.name: trains {trains}, but ModelDeployment {name} serves {serves}"
        return Hold("ModelMismatch", words)
    if unknown := unknown_words(snapshot.template):
        words = f"spec.trainingJobTemplate.spec: $(run.{unknown[0]}) is unknown; use {', '.join(WORDS)}"
        return Hold("InvalidTemplate", words)
    if spec.budget and spec.budget.runs is None and book.accelerators == 0:
        words = (
            "spec.budget.acceleratorHours: limits nothing, the pod of spec.trainingJobTemplate has no accelerators in "
            "its resources.limits (nvidia.com/gpu, ...); give spec.budget.runs"
        )
        return Hold("InvalidBudget", words)
    for hours in spec.quiet_hours:
        try:
            parse(hours)
        except ValueError as error:
            return Hold("InvalidQuietHours", f"spec.quietHours[{hours.name}].{error}")
    return None


def stalled_by_runs(snapshot: Snapshot, spec: RetrainPolicySpec, book: Book) -> Hold | None:
    """unpromotedLimit."""
    if book.unpromoted < spec.unpromoted_limit:
        return None
    last = next((f": {run.message}" for run in book.runs if run.phase in UNPROMOTED), "")
    count = "run was" if book.unpromoted == 1 else f"{book.unpromoted} runs were"
    words = (
        f"the last {count} not promoted (spec.unpromotedLimit), and none starts by itself any more{last}. See "
        "status.runs, then ask for one: "
        f'kubectl annotate --overwrite retrainpolicy {snapshot.name} {ANNOTATION_RUN_REQUEST}="$(date +%s)"'
    )
    return Hold("UnpromotedLimit", words)
