"""What the API server's audit log says of one user, since a moment."""

import json
from collections.abc import Iterator
from datetime import datetime

from e2e.lab import Body, Lab


def of(lab: Lab, user: str, since: float, namespace: str | None = None) -> Iterator[Body]:
    """The requests of a user since then (seconds since the epoch), each as the audit log has it."""
    # Older parts have the time of their end in their names.
    for file in sorted((lab.cluster.state / "logs").glob("audit*.log")):
        with file.open() as lines:
            for line in lines:
                if user not in line:
                    continue
                try:
                    entry = json.loads(line)
                except ValueError:
                    # The last line, which is being written.
                    continue
                at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
                where = entry.get("objectRef") or {}
                if entry["user"]["username"] == user and at >= since and namespace in (None, where.get("namespace")):
                    yield entry


def made(lab: Lab, user: str, since: float, namespace: str) -> dict[str, list[str]]:
    """The names of the objects that a user created in a namespace, by resource, in their order."""
    found: dict[str, list[str]] = {}
    for entry in of(lab, user, since, namespace):
        if entry["verb"] == "create" and entry["responseStatus"].get("code") == 201:
            what = entry["objectRef"]
            found.setdefault(what["resource"], []).append(what.get("name", ""))
    return found


def denied(entry: Body) -> bool:
    """Whether the user lacked the right, and was not refused for any other cause."""
    return (entry.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"


def asked(entry: Body) -> str:
    """What was asked for, as a role names it: `verb resource[/subresource]`."""
    what = entry["objectRef"]
    resource = "/".join(filter(None, (what.get("resource"), what.get("subresource"))))
    return f"{entry['verb']} {resource}"
