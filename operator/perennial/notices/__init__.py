"""What people are told, in the form that their receiver takes: each form is a module, and a line in `FORMS`."""

from collections.abc import Mapping

from perennial.notices import alertmanager, cloudevents, pagerduty, slack
from perennial.notices.form import Form, Message

FORMS: Mapping[str, Form] = {
    "Alertmanager": alertmanager.message,
    "CloudEvents": cloudevents.message,
    "PagerDuty": pagerduty.message,
    "Slack": slack.message,
}

__all__ = ["FORMS", "Form", "Message"]
