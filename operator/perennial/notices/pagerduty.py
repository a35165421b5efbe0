"""PagerDuty's Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview."""

from typing import Any

from perennial.api.base import format_time
from perennial.notices.form import Message
from perennial.questions import Notice

URL = "https://events.pagerduty.com/v2/enqueue"
_SUMMARY, _KEY = 1024, 255


def message(notice: Notice, text: str, key: str) -> Message:
    """What goes wrong with an object triggers one incident, whatever follows; what is good news resolves it."""
    event: dict[str, Any] = {
        "routing_key": key,
        "event_action": "resolve" if notice.resolves else "trigger",
        "dedup_key": f"perennial/{notice.namespace}/{notice.kind}/{notice.name}"[:_KEY],
    }
    if not notice.resolves:
        event["payload"] = {
            "summary": text[:_SUMMARY],
            "source": f"{notice.namespace}/{notice.name}",
            "severity": notice.severity,
            "timestamp": format_time(notice.time),
            "component": notice.kind,
            "group": notice.namespace,
            "class": notice.reason,
            "custom_details": dict(notice.details),
        }
    return Message(event)
