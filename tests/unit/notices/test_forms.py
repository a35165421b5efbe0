"""The forms that receivers take, by what their documentation asks for."""

import json
from datetime import UTC, datetime

import pytest

from perennial.notices import FORMS
from perennial.questions import Notice

NOTICE = Notice(
    at=datetime(2026, 11, 20, 12, 5, tzinfo=UTC),
    receiver="oncall",
    id="uid/3/Rejected",
    kind="RetrainPolicy",
    namespace="team",
    name="churn",
    reason="RunRejected",
    severity="warning",
    resolves=False,
    time=datetime(2026, 11, 20, 12, tzinfo=UTC),
    summary="run 3 of team/churn is rejected: worse",
    details=(("run", "3"), ("modelVersion", "churn-5")),
)
GOOD = Notice(**{name: getattr(NOTICE, name) for name in NOTICE.__slots__} | {"resolves": True, "severity": "info"})


def test_a_cloud_event() -> None:
    message = FORMS["CloudEvents"](NOTICE, "the text", "")
    assert message.content_type == "application/cloudevents+json"
    assert message.body == {
        "specversion": "1.0",
        "id": "uid/3/Rejected",
        "source": "/perennial.dev/namespaces/team/retrainpolicy/churn",
        "type": "dev.perennial.retrainpolicy.RunRejected",
        "subject": "churn",
        "time": "2026-11-20T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {"summary": "the text", "severity": "warning", "run": "3", "modelVersion": "churn-5"},
    }


def test_a_line_in_slack() -> None:
    assert FORMS["Slack"](NOTICE, "a < b & c > d", "").body == {"text": "a &lt; b &amp; c &gt; d"}
    assert len(FORMS["Slack"](NOTICE, "x" * 9000, "").body["text"]) == 4000


def test_an_incident() -> None:
    body = FORMS["PagerDuty"](NOTICE, "the text", "R0UT1NG").body
    assert (body["routing_key"], body["event_action"], body["dedup_key"]) == (
        "R0UT1NG", "trigger", "perennial/team/RetrainPolicy/churn",
    )  # fmt: skip
    payload = body["payload"]
    assert {"summary", "source", "severity"} <= payload.keys(), "PagerDuty requires these"
    assert payload["severity"] in ("critical", "warning", "error", "info")
    assert payload["custom_details"] == {"run": "3", "modelVersion": "churn-5"}
    assert len(FORMS["PagerDuty"](NOTICE, "x" * 2000, "").body["payload"]["summary"]) == 1024


def test_good_news_ends_an_incident() -> None:
    body = FORMS["PagerDuty"](GOOD, "the text", "R0UT1NG").body
    same = FORMS["PagerDuty"](NOTICE, "the text", "R0UT1NG").body["dedup_key"]
    assert body == {"routing_key": "R0UT1NG", "event_action": "resolve", "dedup_key": same}


def test_an_alert() -> None:
    message = FORMS["Alertmanager"](NOTICE, "the text", "")
    assert message.path == "/api/v2/alerts"
    (alert,) = message.body
    assert alert["labels"] == {
        "alertname": "PerennialRunRejected", "namespace": "team", "retrainpolicy": "churn", "severity": "warning",
    }  # fmt: skip
    assert alert["annotations"] == {"summary": "the text", "run": "3", "modelVersion": "churn-5"}
    assert alert["startsAt"] == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize("form", FORMS)
def test_the_same_is_the_same(form: str) -> None:
    assert FORMS[form](NOTICE, "t", "k") == FORMS[form](NOTICE, "t", "k")
    json.dumps(FORMS[form](NOTICE, "t", "k").body)
