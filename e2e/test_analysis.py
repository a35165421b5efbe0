"""Canaries that are looked at while they get real requests: the verdict that a person would have given."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.reporter import monitor, reporting
from e2e.served import odd_server, tried
from e2e.space import IMAGE, RESTRICTED, Space, program, serving
from e2e.store import Store

REQUESTS: Body = {"metric": "requests_total"}
ERRORS: Body = {
    "name": "errors",
    "source": {"pods": {"numerator": REQUESTS | {"labels": {"code": "5*"}}, "denominator": REQUESTS}},
    "noWorseThanStableBy": 0.01,
    "lowerIsBetter": True,
}
FAST: Body = {
    "name": "fast",
    "source": {
        "pods": {"numerator": {"metric": "seconds_bucket", "labels": {"le": "0.1"}}, "denominator": REQUESTS},
    },
    "min": 0.9,
}
ACCURACY: Body = {"name": "accuracy", "noWorseThanStableBy": 0.05}
DOWN: Body = {"name": "converted", "source": {"prometheus": {"query": "up", "server": "nobody"}}, "min": 0.5}


def job(what: str, **metric: Any) -> Body:
    """A Job that looks at the new revision."""
    command = [*program("look"), what]
    container = {"name": "look", "image": IMAGE, "command": command, "securityContext": RESTRICTED}
    source = {"job": {"template": {"spec": {"containers": [container]}}, "activeDeadlineSeconds": 60}}
    return {"name": what, "source": source, **metric}


# What is rolled out: how it behaves, what is looked at, whether it is asked, and what is said of it in the end.
CASES: dict[str, tuple[str, list[Body], bool, str, str]] = {
    "good": ("fine", [ERRORS, FAST], True, "", ""),
    "errs": ("errs 5", [FAST, ERRORS], True, "AnalysisFailed", "at most 0.01 worse is asked for"),
    "slow": ("slow 150", [FAST], True, "AnalysisFailed", "fast 0, at least 0.9 is asked for"),
    "wrong": ("fine", [FAST, ACCURACY], True, "AnalysisFailed", "at most 0.05 worse is asked for"),
    "looked-at": ("fine", [job("decide"), job("measure", min=0.9)], False, "", ""),
    "refused": ("predicts 7", [job("decide")], False, "AnalysisFailed", "says that it is not good: it predicts 7"),
    "rare": ("fine", [ERRORS], False, "AnalysisInconclusive", "0 of at least 30 samples of the new revision"),
    "down": ("fine", [DOWN], False, "AnalysisError", "there is no Prometheus server 'nobody'"),
}


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    """All at once: most of the time they wait."""
    space = Space(lab, "e2e-analysis", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    monitor(space)
    for name, (_, metrics, _, _, _) in CASES.items():
        analysis: Body = {"interval": "5s", "inconclusiveLimit": 3 if name == "rare" else 100, "metrics": metrics}
        strategy = {"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": analysis}}
        space.apply(tried(store, name, 1))
        space.apply(serving(name, replicas=1, template=odd_server(), strategy=strategy, scaleDownDelay="1s"))
    return space


@pytest.fixture(scope="module")
def offered(space: Space, store: Store, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Version 1 of each serves and is asked, and version 2 is rolled out."""
    for name in CASES:
        space.serves(name, 1)
    asked = [space.address(name) for name, (_, _, is_asked, _, _) in CASES.items() if is_asked]
    folder = Path(tmp_path_factory.mktemp("analysis"))
    with ExitStack() as stack:
        stack.enter_context(Load(lab, folder, *asked, rate=100))
        for name, (behaviour, *_) in CASES.items():
            space.apply(tried(store, name, 2, behaviour))
        space.until("the wrong one is rolled out", lambda: _rolling(space, "wrong"))
        rolling = space.get("modeldeployment", "wrong") or {}
        stable, new = rolling["status"]["stableRevision"], _rolling(space, "wrong")
        for revision, value in ((stable, 0.9), (new, 0.5)):
            place = Path(tmp_path_factory.mktemp("reporter"))
            stack.enter_context(reporting(space, place, "wrong", str(revision), value))
        yield


def _rolling(space: Space, name: str) -> str | None:
    status = (space.get("modeldeployment", name) or {}).get("status") or {}
    found: str | None = (status.get("rollout") or {}).get("revision")
    return found


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("name", CASES)
def test_verdict(space: Space, name: str) -> None:
    *_, reason, words = CASES[name]
    if not reason:
        space.serves(name, 2)
        return
    said = space.says("mdep", name, "Ready", "False", words, 240)
    print(said["message"])
    status = (space.get("modeldeployment", name) or {})["status"]
    assert status["modelVersion"] == f"{name}-1"
    if reason == "AnalysisFailed":
        assert [veto["reason"] for veto in status["vetoes"]] == [reason]
    else:
        assert space.says("mdep", name, "Stalled", "True", reason)
        assert status["rollout"]["analysis"]["verdict"] == reason.removeprefix("Analysis")
