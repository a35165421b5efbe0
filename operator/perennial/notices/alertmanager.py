"""Alertmanager's API v2: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml."""

from perennial.api.base import format_time
from perennial.notices.form import Message
from perennial.questions import Notice


def message(notice: Notice, text: str, key: str) -> Message:
    """One alert; it is resolved when Alertmanager has heard no more of it for its `resolve_timeout`."""
    labels = {
        "alertname": f"Perennial{notice.reason}",
        "namespace": notice.namespace,
        notice.kind.lower(): notice.name,
        "severity": notice.severity,
    }
    annotations = {"summary": text, **dict(notice.details)}
    alert = {"labels": labels, "annotations": annotations, "startsAt": format_time(notice.time)}
    return Message([alert], path="/api/v2/alerts")
