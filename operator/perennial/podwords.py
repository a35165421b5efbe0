"""What is said of pods, whoever made them: how a container ended, why none is made, a lost node, since when it is
ready."""

import re
import signal
from datetime import datetime

from perennial.api.base import read_time
from perennial.api.conditions import find
from perennial.plan import Body


def exit_words(code: int, reason: str | None = None) -> str:
    """An exit code for people, with the kubelet's reason where it tells more than the code, or the signal's name."""
    if reason in (None, "", "Error", "Completed"):
        reason = _signal(code)
    return f"exit code {code} ({reason})" if reason else f"exit code {code}"


def cut(text: str, length: int) -> str:
    """On one line, of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _signal(code: int) -> str | None:
    try:
        return signal.Signals(code - 128).name if code > 128 else None
    except ValueError:
        return None


# Each try has a name of its own, and would be another message.
_REFUSED = re.compile(r'(?:Error creating: )?pods "[^"]*" is forbidden: ')


def refused_words(message: str) -> str:
    """Why the cluster takes no pod, without the name that this one would have had."""
    why = _REFUSED.sub("", message.strip(), count=1)
    return f"the cluster refuses its pod, and is asked again: {why}"


def lost_node(pod: Body) -> str | None:
    """Words on the node of a running pod that is not heard of any more; None for any other pod.

    Kubernetes then takes back that the pod is ready, and gives no reason; what the kubelet last said of its containers
    stays as it was.
    """
    conditions = (pod.get("status") or {}).get("conditions")
    ready, containers = find(conditions, "Ready"), find(conditions, "ContainersReady")
    if not ready or ready["status"] != "False" or ready.get("reason") or not containers:
        return None
    if containers["status"] != "True":
        return None
    node = (pod.get("spec") or {}).get("nodeName", "")
    return f"node {node} is not ready since {ready.get('lastTransitionTime')}: its kubelet is not heard of"


def ready_since(pod: Body) -> datetime | None:
    """Since when a pod has been ready; None when it is not."""
    condition = find((pod.get("status") or {}).get("conditions"), "Ready")
    return read_time(condition.get("lastTransitionTime")) if condition and condition["status"] == "True" else None
