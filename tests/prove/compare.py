"""Whether two namespaces are in the same state: by names, specs, counts, owners and what statuses say.

Not compared: uids, times, resource versions, the random part of pods' names, and what follows from these.
"""

import json
import re
from collections import defaultdict
from typing import Any

from perennial.api.meta import ANNOTATION_APPLIED
from perennial.api.resources import CHILD_KINDS, OWN_KINDS, PODS
from perennial.owners import controller_of
from perennial.plan import Body
from tests.apiserver.space import Space

_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace", "selfLink")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What the API server adds at random: to names, and to the volume of a service account's token.
_RANDOM = "-[bcdfghjklmnpqrstvwxz2456789]{5}"
_TOKEN = re.compile("kube-api-access" + _RANDOM)
# A bucket of a MetricSeries: its minute, what was measured in it, and in which second last.
_BUCKET = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\dZ((?: [^" ]+)*) \d+"')
_CHILDREN = {resource.kind for resource in CHILD_KINDS}
# A Job of golden requests, an evaluation or a look: in its name is when its rollout began, or the look was due.
_BY_TIME = re.compile(r"-(golden|eval|check|look)-[0-9a-f]{10}\b")
# What was measured from when on, as a Job is told; or when it says that something changed.
_START = re.compile(r'\\"start\\":\d+')
_SPAN = re.compile(r"\b\d+(\.\d+)? ?(s|seconds?)\b")


def state(space: Space) -> dict[str, Body]:
    """Every object that there is, of our kinds and of those that we make, by kind and name, without what may differ."""
    bodies = [
        body | {"kind": resource.kind} for resource in (*OWN_KINDS, *CHILD_KINDS) for body in space.every(resource)
    ]
    names = {body["metadata"]["name"]: _stable(body) for body in bodies if body["kind"] == PODS.kind}
    # Also of pods that are gone: statuses tell of them.
    owners = sorted({str(body["metadata"]["name"]) for body in bodies if body["kind"] != PODS.kind}, key=len)
    gone = re.compile(rf"\b({'|'.join(map(re.escape, reversed(owners)))}){_RANDOM}\b") if owners else None
    found: dict[str, list[Body]] = defaultdict(list)
    for body in bodies:
        name = str(body["metadata"]["name"])
        found[timeless(f"{body['kind']} {names.get(name, name)}")].append(_plain(body, names, gone, space.name))
    return {key: same[0] if len(same) == 1 else {"several": _sorted(same)} for key, same in sorted(found.items())}


def differences(expected: dict[str, Body], found: dict[str, Body]) -> list[str]:
    """One line for each leaf that differs: its path, what was expected, what is there."""
    lines: list[str] = []
    _compare("", expected, found, lines)
    return lines


def timeless(text: str) -> str:
    """Without what tells of the time in names."""
    return _BY_TIME.sub(r"-\1-time", text)


def _compare(path: str, expected: Any, found: Any, lines: list[str]) -> None:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            _compare(f"{path}/{key}", expected.get(key), found.get(key), lines)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            _compare(f"{path}/{index}", one, other, lines)
    elif expected != found:
        lines.append(f"{path}: expected {json.dumps(expected)[:300]}, found {json.dumps(found)[:300]}")


def _stable(pod: Body) -> str:
    """The name of a pod without its random part."""
    owner = controller_of(pod)
    return f"{owner['name']}-*" if owner else str(pod["metadata"]["name"])


def _plain(body: Body, names: dict[str, str], gone: re.Pattern[str] | None, namespace: str) -> Body:
    metadata = {field: value for field, value in body["metadata"].items() if field not in _OF_THE_SERVER}
    metadata["annotations"] = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key != ANNOTATION_APPLIED
    }
    text = json.dumps({**body, "metadata": metadata})
    for name, stable in names.items():
        text = text.replace(name, stable)
    text = gone.sub(r"\1-*", text) if gone else text
    for pattern, word in (
        (_TIME, "time"),
        (_BUCKET, r'"minute\1"'),
        (_START, "start"),
        (_UID, "uid"),
        (_SPAN, "some s"),
        (_TOKEN, "token"),
    ):
        text = pattern.sub(word, text)
    plain: Body = json.loads(timeless(text).replace(namespace, "here"))
    if plain["kind"] in _CHILDREN:
        # Of what Kubernetes says of ours, how many: what else it says hangs on when it looked.
        plain["status"] = {key: value for key, value in (plain.get("status") or {}).items() if isinstance(value, int)}
    else:
        (plain.get("status") or {}).pop("runningSeconds", None)
    if plain["kind"] == "ModelVersion" and (plain.get("status") or {}).keys() == {"observedGeneration"}:
        # All who looked at it are gone. One that nobody looked at has no status.
        plain.pop("status")
    if plain["kind"] == "MetricSeries":
        # A person's writing, in minutes and seconds of the clock.
        plain.pop("status", None)
    if plain["kind"] == "Service":
        for field in ("clusterIP", "clusterIPs"):
            plain["spec"].pop(field, None)
    return plain


def _sorted(bodies: list[Body]) -> list[Body]:
    return sorted(bodies, key=lambda body: json.dumps(body, sort_keys=True))
