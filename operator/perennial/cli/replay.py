"""`replay`: when a policy would have started a run, had it been there, and at what cost."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from perennial.api.base import format_time
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.cli.cluster import Body, Cluster
from perennial.cli.problem import Problem
from perennial.cli.prometheus import Prometheus
from perennial.retrainpolicy.replay import History, Replayed, replay


def run(
    cluster: Cluster,
    name: str | None,
    file: Path | None,
    span: timedelta,
    now: datetime,
    prometheus: Prometheus | None = None,
) -> str:
    """The runs of a policy, by name or from a file, over the span until now. Problem when it cannot be known."""
    policy = _from(file) if file else cluster.get(RETRAINPOLICIES, name or "")
    target = str(((policy.get("spec") or {}).get("deployment") or {}).get("name") or "")
    deployment = cluster.get(MODELDEPLOYMENTS, target)
    asked = prometheus.answer if prometheus else None
    model = (deployment["spec"].get("model") or {}).get("name")
    took = _seconds(cluster.every(TRAININGJOBS), model)
    each = timedelta(seconds=median(took)) if took else None
    history = History(deployment, cluster.find(METRICSERIES, target), cluster.every(MODELVERSIONS), asked, each)
    try:
        found = replay(policy, history, now - span, now)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"the policy cannot be replayed: {error}") from None
    told = f"{target} reported" + (f" and {prometheus.url} says" if prometheus else "")
    return text(found, told, now - span, took)


def text(found: Replayed, told: str, since: datetime, took: list[int]) -> str:
    """For people. `told`: who told what; `took`: seconds that trainings of the model have run."""
    lines = [f"since {format_time(since)}, by what {told}:"]
    width = max((len(run.cause.trigger) for run in found.runs), default=0)
    for run in found.runs:
        lines.append(f"  {format_time(run.start_time)}  {run.cause.trigger:{width}}  {run.cause.message}")
    runs = "1 run" if len(found.runs) == 1 else f"{len(found.runs) or 'no'} runs"
    if took and found.runs:
        each = median(took)
        runs += f", about {_words(each * len(found.runs))} of training ({_words(each)} each, by the last {len(took)})"
    lines.append(runs)
    if found.held:
        reasons = Counter(skip.reason for skip in found.held)
        lines.append("held back: " + ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())))
    lines += [f"not replayed: {name}: {why}" for name, why in found.left_out.items()]
    return "\n".join(lines)


def _from(file: Path) -> Body:
    try:
        found: Any = list(yaml.safe_load_all(file.read_text()))
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Problem(f"{file} is no YAML: {error}") from None
    policies = [one for one in found if isinstance(one, dict) and one.get("kind") == RETRAINPOLICIES.kind]
    if len(policies) != 1:
        raise Problem(f"{file}: has {len(policies)} RetrainPolicies; one is wanted")
    return dict(policies[0])


def _seconds(jobs: list[Body], model: str | None) -> list[int]:
    """How long the last trainings of a model ran that succeeded."""
    done = [
        job
        for job in jobs
        if (job["spec"].get("model") or {}).get("name") == model
        and (job.get("status") or {}).get("phase") == "Succeeded"
    ]
    done.sort(key=lambda job: str(job["metadata"].get("creationTimestamp")))
    return [int(job["status"].get("runningSeconds") or 0) for job in done[-5:]]


def _words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)}s"
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes >= 60 else f"{minutes}m"
