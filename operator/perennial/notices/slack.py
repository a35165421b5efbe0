"""Slack's incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from perennial.notices.form import Message
from perennial.questions import Notice

_MOST = 4000


def message(notice: Notice, text: str, key: str) -> Message:
    """A line of text. These three have a meaning there."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Message({"text": escaped[:_MOST]})
