"""Looks whether data has changed: what lies below a URI, or where a Git reference points; nothing of it is copied."""

import base64
import os
import re
import urllib.error
import urllib.request
from hashlib import sha256

from perennial.agent.digest import PREFIX
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.storage import locate, shown
from perennial.agent.transfer import patiently
from perennial.api.task import Looked, LookTask, Reason

GIT = "git+"
TIMEOUT = 30.0
_LARGEST = 64 * 2**20  # bytes of a list of references


def run(task: LookTask, layout: Layout) -> Looked:
    """TaskFailed says what is missing, wrong or out of reach. That nothing lies there yet is no failure."""
    if task.uri.startswith(GIT):
        commit = patiently(lambda: commit_of(task.uri))
        return Looked(objects=1, bytes=0, digest=_digest([commit]), revision=commit)
    place = locate(task.uri, layout.volumes)
    try:
        seen = patiently(place.seen)
    except TaskFailed as failed:
        if failed.reason != Reason.NOT_FOUND:
            raise
        seen = {}
    lines = [f"{name} {one.size} {one.stamp}" for name, one in sorted(seen.items())]
    return Looked(objects=len(seen), bytes=sum(one.size for one in seen.values()), digest=_digest(lines))


def commit_of(uri: str) -> str:
    """The commit of `git+https://host/repository@reference`, by Git's HTTP protocol.

    Reference: a branch, a tag or `HEAD`. User and password: GIT_USERNAME and GIT_PASSWORD, where those are set.
    """
    repository, _, reference = uri.removeprefix(GIT).rpartition("@")
    references = _references(repository)
    for name in (reference, f"refs/heads/{reference}", f"refs/tags/{reference}"):
        # What an annotated tag points to counts, not the tag.
        if found := references.get(f"{name}^{{}}") or references.get(name):
            return found
    raise TaskFailed(Reason.NOT_FOUND, f"{shown(repository)}: there is no branch or tag {reference}")


def _references(repository: str) -> dict[str, str]:
    request = urllib.request.Request(f"{repository}/info/refs?service=git-upload-pack")
    user, password = os.environ.get("GIT_USERNAME"), os.environ.get("GIT_PASSWORD")
    if user or password:
        token = base64.b64encode(f"{user or 'git'}:{password or ''}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            text = answer.read(_LARGEST).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        kinds = {401: Reason.ACCESS_DENIED, 403: Reason.ACCESS_DENIED, 404: Reason.NOT_FOUND}
        reason = kinds.get(error.code, Reason.STORE_UNAVAILABLE)
        raise TaskFailed(reason, f"cannot read {shown(repository)}: HTTP {error.code} {error.reason}") from error
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise TaskFailed(Reason.STORE_UNAVAILABLE, f"cannot read {shown(repository)}: {why}") from error
    # With lengths before each line, by the smart protocol, and with a tab between, by the dumb one.
    found = re.findall(r"(?:^|[0-9a-f]{4})([0-9a-f]{40}|[0-9a-f]{64})[ \t]([^\0\n]+)", text, re.MULTILINE)
    if not found:
        raise TaskFailed(Reason.INVALID_URI, f"{shown(repository)} does not answer as a Git repository")
    return {name: commit for commit, name in found}


def _digest(lines: list[str]) -> str:
    return PREFIX + sha256("\n".join(lines).encode()).hexdigest()
