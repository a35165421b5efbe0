"""What the API server's audit log says of one user, since a moment."""

import json
from collections.abc import Container, Iterator
from datetime import datetime

from e2e.lab import Body, Lab

WRITES = ("create", "update", "patch", "delete", "deletecollection")


def of(lab: Lab, user: str, since: float, namespace: str | None = None) -> Iterator[Body]:
    """The requests of a user since then (seconds since the epoch), each as the audit log has it."""
    for entry in _entries(lab, user, since):
        where = entry.get("objectRef") or {}
        if entry["user"]["username"] == user and namespace in (None, where.get("namespace")):
            yield entry


def writes(lab: Lab, user: str, since: float) -> list[Body]:
    """The user's requests since then that would change something, in their order."""
    found = [entry for entry in of(lab, user, since) if entry["verb"] in WRITES]
    return sorted(found, key=at)


def of_roles(lab: Lab, names: Container[str], since: float) -> Iterator[Body]:
    """What anybody did to the roles and bindings of these names, since then."""
    for entry in _entries(lab, "rbac.authorization.k8s.io", since):
        where = entry.get("objectRef") or {}
        if where.get("apiGroup") == "rbac.authorization.k8s.io" and where.get("name") in names:
            yield entry


def replica(entry: Body) -> str:
    """The pod whose token the request came with."""
    (name,) = (entry["user"].get("extra") or {}).get("authentication.kubernetes.io/pod-name") or [""]
    return str(name)


def refused(entry: Body) -> bool:
    """Whether it changed nothing, for whatever reason; a request without an answer has not."""
    return not 200 <= (entry.get("responseStatus") or {}).get("code", 0) < 300


def at(entry: Body) -> float:
    """When the request came, in seconds since the epoch."""
    return datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()


def _entries(lab: Lab, word: str, since: float) -> Iterator[Body]:
    # Older parts have the time of their end in their names.
    for file in sorted((lab.cluster.state / "logs").glob("audit*.log")):
        with file.open() as lines:
            for line in lines:
                if word not in line:
                    continue
                try:
                    entry = json.loads(line)
                except ValueError:
                    # The last line, which is being written.
                    continue
                if at(entry) >= since:
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
