"""An analysis that asks others: the pods of both revisions, or a Prometheus server."""

from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.plan import Body
from perennial.questions import Answer, Call, Counter, Query, Question, Sampled, Scrape
from tests.unit.modeldeployment.play import passes, reasons, rolling
from tests.unit.modeldeployment.world import World

PODS: Body = {
    "numerator": {"metric": "requests_total", "labels": {"code": "5*"}},
    "denominator": {"metric": "requests_total"},
}
ERRORS: Body = {"name": "errors", "source": {"pods": PODS}, "noWorseThanStableBy": 0.01, "lowerIsBetter": True}
LATENCY: Body = {
    "name": "latency",
    "source": {"prometheus": {"query": "mean($deployment, '$revision', [$interval])", "samples": "count($revision)"}},
    "max": 80,
}


def asking(metric: Body, answers: dict[str, Answer], **analysis: Any) -> World:
    """Version 2 gets half of the requests until its analysis passes. Answers: of `new` and `stable`."""
    strategy = {
        "canary": {
            "steps": [{"setWeight": 50}, {"analysis": {}}],
            "analysis": {"metrics": [metric], "interval": "30s", **analysis},
        }
    }
    world = rolling(strategy, replicas=2)

    def answer(question: Question) -> Answer:
        words = str(question)
        return answers["new" if world.rolling and world.rolling in words else "stable"]

    world.answer = answer
    return world


def of(mean: float, count: int) -> Answer:
    return Answer(Sampled(count, mean, 0.0, 1.0))


def record(world: World) -> Body:
    return dict(world.status["rollout"]["analysis"])


def test_pods_of_both_are_asked_at_each_interval() -> None:
    world = asking(ERRORS, {"new": of(0.0, 10), "stable": of(0.0, 10)})
    passes(world, 95)
    asked = [one for one in world.asked if isinstance(one, Scrape)]
    assert len({one.at for one in asked}) == 3
    assert len(asked) == 6
    (uid, url), *_ = asked[0].pages
    assert uid in {pod["metadata"]["uid"] for pod in world.pods(world.rolling or "")}
    assert (url, asked[0].numerator) == ("http://10.0.0.1:8080/metrics", Counter("requests_total", (("code", "5*"),)))


def test_what_is_answered_adds_up_until_it_is_enough() -> None:
    world = asking(ERRORS, {"new": of(0.0, 50), "stable": of(0.0, 50)})
    passes(world, 40)
    first = record(world)["metrics"][0]["new"]["count"]
    assert first % 50 == 0
    assert record(world)["verdict"] == "Inconclusive"
    passes(world, 60)
    assert record(world)["metrics"][0]["new"]["count"] == first + 100
    passes(world, 300)
    assert world.serves == 2


def test_one_that_errs_more_often_is_rolled_back() -> None:
    world = asking(ERRORS, {"new": of(0.05, 1_000), "stable": of(0.0, 1_000)})
    passes(world, 70)
    assert world.candidate(2)["reason"] == "AnalysisFailed"
    assert "errors 0.05, 0 of the stable one, at most 0.01 worse is asked for" in world.message("Ready")


def test_a_prometheus_server_is_asked_with_what_is_known_filled_in() -> None:
    world = asking(LATENCY, {"new": Answer(Sampled(100, 60.0, 50.0, 70.0)), "stable": of(0, 0)})
    new = world.rolling
    passes(world, 32)
    (query,) = {(one.server, one.query, one.samples) for one in world.asked if isinstance(one, Query)}
    assert query == ("default", f"mean(churn, '{new}', [30s])", f"count({new})")


def test_a_webhook_is_told_the_revision_and_since_when_it_gets_requests() -> None:
    metric = {"name": "lift", "source": {"webhook": {"name": "truth"}}, "noWorseThanStableBy": 0.1, "minSamples": 1}
    world = asking(metric, {"new": of(0.7, 4_000), "stable": of(0.7, 4_000)})
    old, new, since = world.stable, world.rolling, record(world)["startTime"]
    passes(world, 32)
    asked = [one for one in world.asked if isinstance(one, Call)]
    assert {(one.webhook, one.metric, one.revision) for one in asked} == {
        ("truth", "lift", new),
        ("truth", "lift", old),
    }
    assert {format_time(one.since) for one in asked} == {since}
    passes(world, 60)
    assert world.serves == 2


def test_no_answer_is_no_pass() -> None:
    world = asking(LATENCY, {"new": Answer(), "stable": Answer()}, inconclusiveLimit=2)
    passes(world, 100)
    assert record(world)["verdict"] == "Inconclusive"
    assert world.message("Stalled")
    assert world.serves == 1


def test_who_cannot_be_asked_holds_the_rollout_and_costs_nothing_that_was_known() -> None:
    answers = {"new": of(0.0, 100), "stable": of(0.0, 100)}
    world = asking(ERRORS, answers, consecutiveErrorLimit=1)
    passes(world, 40)
    before = record(world)["metrics"][0]["new"]
    answers["new"] = Answer(error="connection refused")
    passes(world, 70)
    found = record(world)
    assert (found["verdict"], found["errors"] > 1, found["metrics"][0]["new"]) == ("Error", True, before)
    words = "errors: cannot be found out of the new revision: connection refused"
    assert words in world.message("Stalled")
    assert reasons(world).count("AnalysisError") == 1
    answers["new"] = of(0.0, 1_000)
    answers["stable"] = of(0.0, 1_000)
    passes(world, 60)
    assert world.serves == 2


def test_who_cannot_be_asked_may_be_a_reason_to_go_back() -> None:
    world = asking(ERRORS, {"new": Answer(error="x"), "stable": Answer()}, onInconclusive="RollBack")
    passes(world, 30 * 6)
    assert world.candidate(2)["reason"] == "AnalysisError"


@pytest.mark.parametrize(
    ("spec", "port", "words"),
    [
        ({"hostNetwork": True}, "http", "pods with hostNetwork are not asked"),
        ({}, "metrics", "its pods have no port named 'metrics'"),
    ],
)
def test_what_cannot_be_asked_for_is_said(spec: Body, port: str, words: str) -> None:
    metric = ERRORS | {"source": {"pods": PODS | {"port": port}}}
    world = asking(metric, {"new": Answer(), "stable": Answer()})
    for pod in world.pods(world.rolling or ""):
        pod["spec"] |= spec
    passes(world, 40)
    assert record(world)["verdict"] == "Error"
    assert words in world.message("Ready")
