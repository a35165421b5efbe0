"""CloudEvents 1.0 in structured mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md."""

from perennial.api.base import format_time
from perennial.notices.form import Message
from perennial.questions import Notice


def message(notice: Notice, text: str, key: str) -> Message:
    """One event. Its id is the same whenever the same is told again."""
    event = {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/perennial.dev/namespaces/{notice.namespace}/{notice.kind.lower()}/{notice.name}",
        "type": f"dev.perennial.{notice.kind.lower()}.{notice.reason}",
        "subject": notice.name,
        "time": format_time(notice.time),
        "datacontenttype": "application/json",
        "data": {"summary": text, "severity": notice.severity, **dict(notice.details)},
    }
    return Message(event, "application/cloudevents+json")
