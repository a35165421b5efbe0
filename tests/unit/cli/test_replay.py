"""A policy over the past: the same decisions, with the clock of then."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import pytest

from perennial.api.base import format_time
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.cli import arguments, replay
from perennial.cli.cluster import Cluster
from perennial.cli.problem import Problem
from perennial.cli.prometheus import Prometheus
from perennial.metricseries.series import Sample, fold
from perennial.plan import Body

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SPAN = timedelta(days=2)
ACCURACY: Body = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "window": "1h"}}
NIGHTLY: Body = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}}


def a_policy(*triggers: Body, **spec: Any) -> Body:
    template = {"spec": {"model": {"name": "churn"}}}
    spec = {"deployment": {"name": "churn"}, "trainingJobTemplate": template, "triggers": list(triggers), **spec}
    return {"kind": "RetrainPolicy", "metadata": {"name": "churn", "namespace": "team"}, "spec": spec}


class There(Cluster):
    """What is known of the past: values of accuracy each ten minutes, by how long ago."""

    def __init__(self, policy: Body, values: Any, promoted: timedelta = timedelta(days=20)) -> None:
        self.namespace = "team"
        series: Body | None = None
        for minutes in range(int(SPAN.total_seconds() // 60), 0, -10):
            at = NOW - timedelta(minutes=minutes)
            value = values(timedelta(minutes=minutes))
            if value is not None:
                series = fold(series, [Sample("accuracy", value, at.timestamp(), "churn-r1", 10)], at)
        promotion = {"revision": "churn-r1", "model": "churn", "version": 1, "digest": "sha256:" + "a" * 64}
        promotion |= {"uri": "s3://acme/1", "format": "sklearn", "time": format_time(NOW - promoted)}
        status = {"promotions": [promotion], "stableRevision": "churn-r1"}
        metadata = {"name": "churn", "namespace": "team"}
        self.objects: dict[Resource, Body | None] = {
            RETRAINPOLICIES: policy,
            MODELDEPLOYMENTS: {"metadata": metadata, "spec": {"model": {"name": "churn"}}, "status": status},
            METRICSERIES: series,
        }
        self.jobs: list[Body] = []

    def find(self, resource: Resource, name: str) -> Body | None:
        return self.objects[resource]

    def every(self, resource: Resource) -> list[Body]:
        return self.jobs if resource == TRAININGJOBS else []

    def trained(self, *seconds: int) -> None:
        for one in seconds:
            status = {"phase": "Succeeded", "runningSeconds": one}
            self.jobs.append({"metadata": {}, "spec": {"model": {"name": "churn"}}, "status": status})


def said(there: There, span: timedelta = SPAN) -> list[str]:
    return replay.run(there, "churn", None, span, NOW).splitlines()


def test_each_crossing_would_have_started_one_run() -> None:
    bad = [(timedelta(hours=36), timedelta(hours=13)), (timedelta(hours=8), timedelta(hours=6))]
    there = There(a_policy(ACCURACY), lambda ago: 0.8 if any(a >= ago > b for a, b in bad) else 0.95)
    head, first, second, cost = said(there)
    assert head == "since 2026-11-18T12:00:00Z, by what churn reported:"
    assert first.startswith("  2026-11-19T"), "known by the day"
    assert second.startswith("  2026-11-20T04:")
    assert "accuracy is 0." in second
    assert cost == "2 runs"


def test_a_break_that_is_too_short_starts_none() -> None:
    there = There(
        a_policy({**ACCURACY, "metric": ACCURACY["metric"] | {"for": "3h"}}),
        lambda ago: 0.8 if timedelta(hours=4) > ago > timedelta(hours=3) else 0.95,
    )
    assert said(there, timedelta(hours=10))[1:] == ["no runs"]


def test_ticks_and_what_holds_them_back() -> None:
    there = There(a_policy(NIGHTLY, cooldown="40h"), lambda _: None)
    there.trained(1200, 3000, 1800)
    lines = said(there, timedelta(days=7))
    ticks = [line.split()[0] for line in lines[1:-2]]
    assert ticks == ["2026-11-14T03:00:00Z", "2026-11-15T19:00:00Z", "2026-11-17T11:00:00Z", "2026-11-19T03:00:00Z"]
    assert lines[-2] == "4 runs, about 2h00m of training (30m each, by the last 3)"
    assert lines[-1].startswith("held back: Cooldown ")


def test_accelerator_hours_are_spent_by_trainings_as_long_as_the_last() -> None:
    pod = {"containers": [{"name": "train", "resources": {"limits": {"nvidia.com/gpu": 4}}}]}
    template = {"spec": {"model": {"name": "churn"}, "template": {"spec": pod}}}
    policy = a_policy(NIGHTLY, trainingJobTemplate=template, budget={"acceleratorHours": 12, "per": "48h"})
    there = There(policy, lambda _: None)
    free = said(there, timedelta(days=7))
    assert [line.split()[0][8:10] for line in free[1:-2]] == ["14", "15", "16", "17", "18", "19", "20"]
    words = "no training of the model has succeeded yet, which would say how long one takes"
    assert free[-1] == f"not replayed: budget.acceleratorHours: {words}"
    there.trained(3600, 7200, 9000)
    lines = said(there, timedelta(days=7))
    ticks = [line.split()[0] for line in lines[1:-2]]
    # Two of 8 hours are above 12, until an hour of the older one is left behind.
    assert ticks[:3] == ["2026-11-14T03:00:00Z", "2026-11-15T03:00:00Z", "2026-11-16T04:00:01Z"]
    assert lines[-1].startswith("held back: BudgetSpent ")
    preset = a_policy(NIGHTLY, trainingJobTemplate={"spec": template["spec"] | {"runtime": "torch"}})
    preset["spec"]["budget"] = policy["spec"]["budget"]
    there.objects[RETRAINPOLICIES] = preset
    words = "what the preset of spec.runtime asks for is not known here"
    assert said(there, timedelta(days=7))[-1] == f"not replayed: budget.acceleratorHours: {words}"


def test_only_what_the_revision_of_then_reported_counts() -> None:
    there = There(a_policy(ACCURACY), lambda _: 0.8, promoted=timedelta(hours=3))
    lines = said(there)
    assert len(lines) == 3
    assert lines[1].startswith("  2026-11-20T09:")


def test_what_is_not_on_record_is_said() -> None:
    data = {"name": "new-data", "data": {"uri": "s3://acme/churn/"}}
    asked = {"name": "sales", "metric": {"name": "sales", "below": 1, "source": {"webhook": {"name": "sales"}}}}
    worse = {"name": "worse", "conceptDrift": {"metric": "accuracy"}}
    counted = {"name": "errors", "metric": {"name": "errors", "above": 1, "source": {"pods": {}}}}
    lines = said(There(a_policy(NIGHTLY, data, asked, counted, worse), lambda _: None))
    assert lines[-4:] == [
        "not replayed: new-data: what its data was like is not on record",
        "not replayed: sales: what webhook said is not on record",
        "not replayed: errors: what pods said is not on record",
        "not replayed: worse: its detector runs in a Job only",
    ]
    with pytest.raises(Problem, match="none of its triggers can be replayed"):
        said(There(a_policy(data), lambda _: 0.95))
    with pytest.raises(Problem, match="spec.when is All, and nothing is known of new-data"):
        said(There(a_policy(NIGHTLY, data, when="All"), lambda _: 0.95))


def test_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "kind: RetrainPolicy\nmetadata: {name: new}\nspec:\n  deployment: {name: churn}\n"
        "  trainingJobTemplate: {spec: {model: {name: churn}}}\n"
        "  triggers: [{name: low, metric: {name: accuracy, below: 0.9, window: 1h}}]\n"
    )
    there = There(a_policy(), lambda _: 0.8)
    assert "low" in replay.run(there, None, file, timedelta(hours=6), NOW)
    file.write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(Problem, match="has 0 RetrainPolicies"):
        replay.run(there, None, file, SPAN, NOW)
    file.write_text("a: [")
    with pytest.raises(Problem, match="is no YAML"):
        replay.run(there, None, file, SPAN, NOW)
    file.write_text(
        "kind: RetrainPolicy\nspec: {deployment: {name: churn}, triggers: [{name: a, metric: {name: b}}]}\n"
    )
    with pytest.raises(Problem, match="cannot be replayed: spec"):
        replay.run(there, None, file, SPAN, NOW)


@pytest.mark.parametrize(
    "words",
    [
        ["replay"],
        ["replay", "churn", "-f", "x"],
        ["replay", "churn", "--since", "40d"],
        ["replay", "churn", "--since", "721h"],
    ],
)
def test_what_is_no_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(words)
    assert capsys.readouterr().err.startswith("error: ")


class Server:
    """A Prometheus server's HTTP interface over one number for each time."""

    def __init__(self, value: Any) -> None:
        self.asked: list[tuple[str, float]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                told.asked.append((form["query"], float(form["time"])))
                code, body = 200, {"status": "success", "data": {"resultType": "vector", "result": []}}
                if "bad" in form["query"]:
                    code, body = 400, {"status": "error", "error": "parse error"}
                elif (found := value(float(form["time"]))) is not None:
                    body["data"] = {"resultType": "vector", "result": [{"value": [float(form["time"]), str(found)]}]}
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestPrometheus:
    @staticmethod
    def a_trigger(**source: Any) -> Body:
        query = {"query": "churn_accuracy{ns='$namespace'}"} | source
        return {"name": "live", "metric": {"name": "accuracy", "below": 0.9, "source": {"prometheus": query}}}

    def test_it_is_asked_as_of_then(self) -> None:
        policy = a_policy(self.a_trigger(), cooldown="100h")
        broke = NOW - timedelta(hours=5)
        with Server(lambda time: 0.8 if time >= broke.timestamp() else 0.95) as server:
            told = replay.run(There(policy, lambda ago: None), "churn", None, SPAN, NOW, Prometheus(server.url + "/"))
        first, line, runs = told.splitlines()[:3]
        assert first == f"since 2026-11-18T12:00:00Z, by what churn reported and {server.url} says:"
        assert line.split()[0].startswith("2026-11-20T07:0")
        assert "accuracy is 0.8 (1 sample by prometheus), below 0.9" in line
        assert runs == "1 run"
        assert {query for query, _ in server.asked} == {"churn_accuracy{ns='team'}"}
        times = [time for _, time in server.asked]
        assert times == sorted(times)
        assert times[-1] <= NOW.timestamp()

    def test_it_is_asked_from_the_first_promotion_on(self) -> None:
        promoted = timedelta(minutes=3)
        there = There(a_policy(self.a_trigger(query="accuracy{revision='$revision'}")), lambda ago: None, promoted)
        with Server(lambda time: 0.8) as server:
            told = replay.run(there, "churn", None, timedelta(hours=1), NOW, Prometheus(server.url))
        assert "\n1 run" in told
        assert {query for query, _ in server.asked} == {"accuracy{revision='churn-r1'}"}

    def test_nothing_to_say_starts_nothing(self) -> None:
        with Server(lambda time: None) as server:
            there = There(a_policy(self.a_trigger()), lambda ago: None)
            assert "no runs" in replay.run(there, "churn", None, SPAN, NOW, Prometheus(server.url))

    def test_without_one_the_trigger_is_left_out(self) -> None:
        there = There(a_policy(self.a_trigger(), NIGHTLY), lambda ago: None)
        told = replay.run(there, "churn", None, SPAN, NOW)
        assert "not replayed: live: nobody says what Prometheus would have answered: give --prometheus" in told

    @pytest.mark.parametrize(
        ("url", "query", "words"),
        [
            ("", "bad query", "answers 400 to bad query: .*parse error"),
            ("http://127.0.0.1:9", "up", "--prometheus: http://127.0.0.1:9 cannot be asked: "),
            ("localhost:9090", "up", "is no URL: http://localhost:9090, say"),
        ],
    )
    def test_what_is_wrong_is_said(self, url: str, query: str, words: str) -> None:
        there = There(a_policy(self.a_trigger(query=query)), lambda ago: None)
        with Server(lambda time: 1.0) as server, pytest.raises(Problem, match=words):
            replay.run(there, "churn", None, SPAN, NOW, Prometheus(url or server.url))

    def test_a_token_is_sent_to_https_only(self, tmp_path: Path) -> None:
        with pytest.raises(Problem, match="a token is sent to https:// only"):
            Prometheus("http://localhost:9090", tmp_path / "token")
