"""What each object stands at, as Prometheus reads it; and that alerts and the dashboard ask for what there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from perennial.api.resources import MODELDEPLOYMENTS, RETRAINPOLICIES
from perennial.plan import Body
from perennial.telemetry.domain import written
from perennial.telemetry.objects import Objects
from tests.unit.retrainpolicy.builders import ACCURACY, Team, a_policy
from tests.unit.runtime.builders import a_body
from tests.world import World

FILES = Path(__file__).parents[3] / "charts" / "perennial" / "files"


def a_condition(type_: str, status: str, reason: str = "Because") -> Body:
    return {"type": type_, "status": status, "reason": reason}


def read(world: World) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What a scrape finds: by its name, the labels and the value of each series."""
    registry = CollectorRegistry()
    registry.register(Objects(world))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {family.name: [(one.labels, one.value) for one in family.samples] for family in families}


def test_a_deployment_is_ready_or_a_person_must_look() -> None:
    good = a_body(MODELDEPLOYMENTS, "good", status={"conditions": [a_condition("Ready", "True")]})
    bad_conditions = [a_condition("Ready", "False"), a_condition("Stalled", "True", "RolloutFailed")]
    bad = a_body(MODELDEPLOYMENTS, "bad", status={"conditions": bad_conditions})
    new = a_body(MODELDEPLOYMENTS, "new")
    found = read(World(good, bad, new))
    of = {"kind": "ModelDeployment", "namespace": "ns"}
    assert found["perennial_ready"] == [(of | {"name": "good"}, 1.0), (of | {"name": "bad"}, 0.0)]
    assert found["perennial_stalled"] == [(of | {"name": "bad", "reason": "RolloutFailed"}, 1.0)]


def test_the_version_that_serves() -> None:
    promotions = [{"model": "churn", "version": 7}, {"model": "churn", "version": 6}]
    serves = a_body(MODELDEPLOYMENTS, "churn", status={"promotions": promotions})
    files = a_body(MODELDEPLOYMENTS, "files", status={"promotions": [{"uri": "s3://b/m"}]})
    labels = {"namespace": "ns", "modeldeployment": "churn", "model": "churn"}
    assert read(World(serves, files))["perennial_served_version"] == [(labels, 7.0)]


@pytest.mark.parametrize(
    ("metric", "limits"),
    [
        ({"below": 0.9}, {"below": 0.9}),
        ({"outside": {"below": 0.1, "above": 0.9}}, {"below": 0.1, "above": 0.9}),
    ],
)
def test_a_trigger_against_its_limits(metric: Body, limits: dict[str, float]) -> None:
    trigger = {"name": "accuracy", "metric": {"name": "accuracy", **metric}}
    team = Team(a_policy(trigger)).report(0.05, count=3).settle()
    found = read(team.world)
    of = {"namespace": "team", "retrainpolicy": "churn"}
    row = of | {"trigger": "accuracy"}
    assert found["perennial_trigger_value"] == [(row, 0.05)]
    assert {labels["side"]: value for labels, value in found["perennial_trigger_limit"]} == limits
    assert found["perennial_trigger_state"] == [(row | {"state": "Firing"}, 1.0)]
    assert found["perennial_runs_under_way"] == [(of, 1.0)]
    team.fails().settle()
    assert read(team.world)["perennial_unpromoted_runs"] == [(of, 1.0)]


def test_a_run_is_counted_when_it_ends_and_when_its_version_relapses() -> None:
    def runs(*rows: Body) -> Body:
        plain: Body = {"number": 1, "cause": {"type": "Metric"}}
        return a_body(RETRAINPOLICIES, "rp", status={"runs": [plain | row for row in rows]})

    def counted(outcome: str) -> float:
        labels = {"namespace": "ns", "retrainpolicy": "rp", "cause": "Metric", "outcome": outcome}
        return REGISTRY.get_sample_value("perennial_runs_total", labels) or 0.0

    before = counted("Promoted"), counted("RolledBack")
    trains = runs({"phase": "Training"})
    watched = runs({"phase": "Promoted", "completionTime": "t", "watchedUntil": "u"})
    relapsed = runs({"phase": "RolledBack", "completionTime": "v", "relapseTime": "v"})
    for old, new in ((trains, watched), (watched, watched), (watched, relapsed), (relapsed, relapsed)):
        written(old, old, new)
    assert (counted("Promoted") - before[0], counted("RolledBack") - before[1]) == (1, 1)


def _known() -> set[str]:
    """The names of all that the operator tells."""
    own = {metric.name for metric in Objects(World()).collect()}
    counted: set[str] = set()
    for family in REGISTRY.collect():
        total = f"{family.name}_total" if family.type == "counter" else family.name
        counted |= {total, *(f"{family.name}_{part}" for part in ("bucket", "count", "sum"))}
    return own | counted


def test_the_alerts_and_the_dashboard_ask_for_what_there_is() -> None:
    rules = yaml.safe_load((FILES / "rules.yaml").read_text())
    asked: list[Any] = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    asked += [target["expr"] for panel in panels for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(r"\b(?:perennial|workqueue|controller|leader)_\w+", text)}
    assert len(names) > 8
    assert names <= _known()


def test_each_alert_is_told_of_and_tested() -> None:
    rules = yaml.safe_load((FILES / "rules.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    root = FILES.parents[2]
    told = set(re.findall(r"^\| `(Perennial\w+)` \|", (root / "docs" / "operations.md").read_text(), re.M))
    tests = yaml.safe_load((root / "e2e" / "rules_test.yaml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert alerts == told == fired


def test_policies_without_a_status_are_none_of_these() -> None:
    assert all(not samples for name, samples in read(World(a_policy(ACCURACY))).items() if "trigger" in name)
