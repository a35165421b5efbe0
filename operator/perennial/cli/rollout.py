"""What people say of a rollout: `promote`, `skip-step`, `abort`, `undo`, `retry`, `pause` and `resume`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from perennial.api.meta import (
    ANNOTATION_ABORT,
    ANNOTATION_PROMOTE,
    ANNOTATION_RETRY,
    ANNOTATION_SKIP_STEP,
    ANNOTATION_UNDO,
)
from perennial.api.resources import MODELDEPLOYMENTS
from perennial.cli.cluster import Body, Cluster
from perennial.cli.problem import Problem

Ask = Callable[[Body, str | None], tuple[Body, str]]


def run(cluster: Cluster, what: str, name: str, revision: str | None = None) -> str:
    """Ask for it; what was asked for, in words. Problem when there is nothing to ask for, or the server refuses.

    revision: where `undo` leads back to; default: what served before.
    """
    change, words = ASKS[what](cluster.get(MODELDEPLOYMENTS, name), revision)
    cluster.patch(MODELDEPLOYMENTS, name, change)
    return f"modeldeployment {name}: {words}"


def _of_rollout(annotation: str, words: str, deployment: Body, _: str | None) -> tuple[Body, str]:
    rollout = _status(deployment).get("rollout")
    if not rollout:
        raise Problem(f"modeldeployment {_name(deployment)}: nothing is rolled out now")
    return _annotated(annotation, ""), words.format(rollout["revision"])


def _retry(deployment: Body, _: str | None) -> tuple[Body, str]:
    vetoes = [one["revision"] for one in _status(deployment).get("vetoes") or ()]
    if not vetoes:
        raise Problem(f"modeldeployment {_name(deployment)}: nothing is vetoed here, so there is nothing to retry")
    return _annotated(ANNOTATION_RETRY, ""), f"{', '.join(vetoes)} may be tried again"


def _undo(deployment: Body, revision: str | None) -> tuple[Body, str]:
    status = _status(deployment)
    stable = status.get("stableRevision")
    past = dict.fromkeys(one["revision"] for one in status.get("promotions") or () if one["revision"] != stable)
    if not past or revision not in (None, *past):
        there = f"there are {', '.join(past)}" if past else "there is none"
        wanted = f"{revision!r} did not serve" if revision else "no other revision served"
        raise Problem(f"modeldeployment {_name(deployment)}: {wanted} here before, as far as is remembered; {there}")
    back = revision or next(iter(past))
    return _annotated(ANNOTATION_UNDO, f"{back} "), f"back to {back}; what served after it is vetoed here"


def _paused(paused: bool, deployment: Body, _: str | None) -> tuple[Body, str]:
    words = "paused" if paused else "goes on"
    if bool(deployment["spec"].get("paused")) == paused:
        raise Problem(f"modeldeployment {_name(deployment)}: spec.paused is {str(paused).lower()} already")
    return {"spec": {"paused": paused}}, words


def _annotated(annotation: str, before: str) -> Body:
    """Each value is one request."""
    request = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"metadata": {"annotations": {annotation: f"{before}{request}"}}}


def _status(deployment: Body) -> Body:
    return deployment.get("status") or {}


def _name(deployment: Body) -> str:
    return str(deployment["metadata"]["name"])


ASKS: Mapping[str, Ask] = {
    "promote": partial(_of_rollout, ANNOTATION_PROMOTE, "{} is promoted, without the steps that are left"),
    "skip-step": partial(_of_rollout, ANNOTATION_SKIP_STEP, "{} goes on with its next step"),
    "abort": partial(_of_rollout, ANNOTATION_ABORT, "{} is rolled back, and vetoed until a retry"),
    "undo": _undo,
    "retry": _retry,
    "pause": partial(_paused, True),
    "resume": partial(_paused, False),
}
