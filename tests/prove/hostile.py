"""What others can write where the operator reads: hostile statuses, labels, annotations and children, out of a seed.

Statuses are drawn from the schemas of the kinds, so that a new field is attacked from its first day.
"""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from perennial.api import meta
from perennial.api.crds import KINDS, crd
from perennial.api.resources import Resource

Strategy = st.SearchStrategy[Any]
T = TypeVar("T")
SCHEMAS: dict[Resource, Any] = {
    kind.resource: crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS
}
DIGEST = "sha256:" + "a" * 64
# Deeper than Python's stack, and less deep than the API server refuses.
DEEP = 1500
# As much as all annotations of an object may have together.
ANNOTATIONS = 256 * 1024
SKEWED_TIMES = (
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0999-12-31T23:59:59.999999999Z",
    "1969-12-31T23:59:59Z",
    "2026-02-29t00:00:00z",
    "2026-11-21T12:00:00Z",
    "2026-11-21T12:00:00-12:00",
    "2100-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
)
TIMES = [time for time in SKEWED_TIMES if "02-29" not in time]
INTEGERS = (-(2**63), -(2**31), -1, 0, 1, 2, 3, 2**31 - 1, 2**31, 10**9, 10**12, 2**53 + 1, 2**63 - 1)
NUMBERS = (0.0, -0.0, 0.9, 1.0, -1.0, 5e-324, 1e15, 1e150, 1e308, -1e308)
# Names that are there, so that what is hostile is also believed; and what no name should be.
NAMES = ("churn", "churn-1", "churn-2", "run", "policy", "policy-1", "shop", "shop-0123456789", "accuracy", "request")
WORDS = (
    "",
    " ",
    "x" * 253,
    "y" * 5000,
    "../../etc/passwd",
    "$(run.number)$(HOME)",
    "\u0000",
    "\u202e\U0001f4a3\uffff",
    "9" * 63,
    "-1",
    "NaN",
    "null",
    "Invalid",
    "BadRequest",
    "churn,churn",
    "perennial.dev/run=1",
)


def deep(levels: int = DEEP, of: str = "object") -> Any:
    """A value in a value in a value."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if of == "object" else [value]
    return value


def samples(strategy: st.SearchStrategy[T], number: int, of: int) -> list[T]:
    """So many examples, the same for the same seed."""
    found: list[T] = []

    @seed(of)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(example: T) -> None:
        found.append(example)

    draw()
    return found[:number]


anything = st.recursive(
    st.none() | st.booleans() | st.sampled_from(INTEGERS) | st.sampled_from(NUMBERS) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES + WORDS), inner, max_size=3),
    max_leaves=8,
) | st.sampled_from([(DEEP, "object"), (DEEP, "list"), (120, "object"), (60, "list")]).map(lambda how: deep(*how))


def within(schema: Any) -> Strategy:
    """Any value that a structural schema allows, but for its CEL rules."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.sampled_from([0, 1, 25, "0%", "100%", "999%"])
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return _array(schema)
        case "string":
            return _string(schema)
        case "integer" | "number" as kind:
            low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
            numbers = INTEGERS if kind == "integer" else (*INTEGERS, *NUMBERS)
            bounds = [one for one in (low, high) if abs(one) < float("inf")]
            return st.sampled_from([*bounds, *(one for one in numbers if low <= one <= high)])
        case "boolean":
            return st.booleans()
    return anything


def _object(schema: Any) -> Strategy:
    fields = {name: within(child) for name, child in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    known = st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    )
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        keys = st.sampled_from(("accuracy", "champion.accuracy", "A" * 63, "_"))
        return st.dictionaries(keys, within(values), max_size=3)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        more = st.dictionaries(st.sampled_from(("env", "volumes", "metadata", "securityContext")), anything, max_size=2)
        return st.tuples(more, known).map(lambda both: both[0] | both[1])
    return known


def _array(schema: Any) -> Strategy:
    most = schema.get("maxItems", 300)
    keys = schema.get("x-kubernetes-list-map-keys")
    least = schema.get("minItems", 0)
    items = within(schema["items"])
    if keys:
        return st.lists(items, min_size=least, max_size=min(most, 3), unique_by=lambda one: str(one.get(keys[0])))
    few = st.lists(items, min_size=least, max_size=min(most, 4))
    many = items.map(lambda one: [one] * most)
    return st.sampled_from([few, few, few, many]).flatmap(lambda chosen: chosen)


def _string(schema: Any) -> Strategy:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 100_000)
    if schema.get("format") == "date-time":
        return st.sampled_from(TIMES)
    if pattern := schema.get("pattern"):
        drawn = st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
        return drawn.filter(lambda text: least <= len(text) <= most)
    return st.sampled_from([word for word in (*NAMES, *WORDS) if least <= len(word) <= most])


def status(resource: Resource) -> Strategy:
    """A status of one of our kinds that its schema lets through."""
    return within(SCHEMAS[resource]["properties"]["status"])


def spec(resource: Resource) -> Strategy:
    """A spec of one of our kinds that its schema lets through; rules between fields may not hold."""
    return within(SCHEMAS[resource]["properties"]["spec"])


# What the API server takes for a label's value.
LABEL_VALUES = ("", "true", "9" * 63, "1e5", "a" * 63, "A.b_c-9", "007", "2147483648", *NAMES)
LABELS = tuple(value for name, value in vars(meta).items() if name.startswith("LABEL_"))
ANNOTATION_NAMES = tuple(value for name, value in vars(meta).items() if name.startswith("ANNOTATION_"))
_JSON_ON_PURPOSE = (
    "{",
    "null",
    "[]",
    "{}",
    "NaN",
    '{"a": NaN}',
    '{"model": NaN}',
    '"\\ud800"',
    '{"model": {"name": "\\ud800"}}',
    '{"model": {"name": "churn"}, "parameters": {"a": 1e999, "b": 123456789012345678901234567890}}',
    '{"model": {"name": "churn"}, "parameters": {"a": "\\ud800"}}',
    '{"deployment": "shop", "uri": "s3://a/b", "digest": "none"}',
    '{"deployment": "shop", "version": 99999999999999999999, "uri": "", "digest": "' + DIGEST + '"}',
    '{"trigger": "t", "type": "Metric"}',
    '{"trigger": "t", "type": "Other", "value": "NaN"}',
    "[" * 100_000,
    "[" * 1500 + "]" * 1500,
    '{"a":' * 1500 + "1" + "}" * 1500,
    "9" * 5000,
    "x" * (ANNOTATIONS - 4096),
    "\u0000",
)
labels = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(LABEL_VALUES), max_size=5)
_fields = st.dictionaries(
    st.sampled_from(("model", "trigger", "type", "uri", "digest", "deployment", "parameters", "value")),
    st.sampled_from([*NAMES, *INTEGERS, *NUMBERS, None, [], {}, {"name": "churn"}]),
    max_size=6,
)
annotation = st.one_of(st.sampled_from(_JSON_ON_PURPOSE), st.sampled_from(WORDS), _fields.map(json.dumps))
annotations = st.dictionaries(st.sampled_from(ANNOTATION_NAMES), annotation, max_size=3).filter(
    lambda found: sum(len(name) + len(value) for name, value in found.items()) < ANNOTATIONS
)

# What a container may leave behind: the kubelet keeps 4 KiB of it, somebody who may write statuses keeps more.
MESSAGES = (
    "",
    "{",
    "null",
    "[" * 4096,
    '{"error":' * 455,
    '{"error": {"reason": "NaN", "message": 5}}',
    '{"error": {"reason": "DigestMismatch", "message": "' + "x" * 4000 + '"}}',
    '{"error": {"reason": "TrainingFailed", "message": "\\ud800\\udfff"}}',
    '{"error": null, "uri": "s3://a/b"}',
    '{"uri": "s3://a/b", "digest": "' + DIGEST + '", "metrics": {"accuracy": NaN}}',
    '{"uri": "s3://a/b", "digest": "' + DIGEST + '", "metrics": {"accuracy": 1e999}}',
    '{"uri": "s3://a/b", "digest": "' + DIGEST + '", "format": "\\ud800"}',
    '{"uri": "s3://a/b", "digest": "' + DIGEST + '", "metrics": {"accuracy": 0.9}, "format": "sklearn"}',
    '{"uri": "' + "u" * 1100 + '", "digest": "' + DIGEST + '"}',
    '{"uri": "no uri", "digest": "' + DIGEST + '", "format": "No Format!", "evaluation": "' + "e" * 253 + '"}',
    '{"inputs": {"data": "sha256:0"}}',
    "\u0000\u202e",
    "9" * 5000,
    "x" * 20_000,
)
_time = st.sampled_from([*TIMES, None])
_reason = st.sampled_from(
    (
        "OOMKilled",
        "StartError",
        "Evicted",
        "ImagePullBackOff",
        "InvalidImageName",
        "BackoffLimitExceeded",
        "R" * 300,
        "",
    )
)
_message = st.sampled_from(MESSAGES)
_code = st.sampled_from((0, 1, 78, 126, 137, 143, -1, 2**31 - 1, -(2**31)))
_state = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"waiting": st.fixed_dictionaries({}, optional={"reason": _reason, "message": _message})}),
    st.fixed_dictionaries({"running": st.fixed_dictionaries({"startedAt": _time})}),
    st.fixed_dictionaries(
        {
            "terminated": st.fixed_dictionaries(
                {"exitCode": _code, "startedAt": _time, "finishedAt": _time},
                optional={"reason": _reason, "message": _message},
            )
        }
    ),
)


def _condition(*types: str) -> Strategy:
    return st.fixed_dictionaries(
        {"type": st.sampled_from((*types, "")), "status": st.sampled_from(("True", "False", "Unknown", "Perhaps"))},
        optional={"lastTransitionTime": _time, "reason": _reason, "message": _message},
    )


def _container(*names: str) -> Strategy:
    return st.fixed_dictionaries(
        {
            "name": st.sampled_from((*names, "")),
            "state": _state,
            "lastState": _state,
            "ready": st.booleans(),
            "restartCount": st.sampled_from((0, 3, 2**31 - 1)),
            "image": st.sampled_from(("", "train:1")),
            "imageID": st.sampled_from(("", "@", "x" * 2000, "docker-pullable://a@sha256:0")),
        }
    )


pod_status = st.fixed_dictionaries(
    {"phase": st.sampled_from(("Pending", "Running", "Succeeded", "Failed", "Unknown"))},
    optional={
        "reason": _reason,
        "message": _message,
        "conditions": st.lists(_condition("Ready", "PodScheduled", "DisruptionTarget"), max_size=4),
        "initContainerStatuses": st.lists(_container("prepare", "fetch", "main"), max_size=3),
        "containerStatuses": st.lists(_container("main", "train", "agent", "server", "recover"), max_size=4),
    },
)
job_status = st.fixed_dictionaries(
    {},
    optional={
        "startTime": _time,
        "succeeded": st.sampled_from((0, 1, 2**31 - 1)),
        "conditions": st.lists(_condition("Complete", "Failed", "Suspended"), max_size=4),
    },
)
deployment_status = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.sampled_from((0, 1, 2**31 - 1)),
        "readyReplicas": st.sampled_from((0, 1, 2**31 - 1)),
        "conditions": st.lists(_condition("ReplicaFailure", "Available"), max_size=3),
    },
)


def owners(kind: str, name: str, uids: Iterable[str]) -> Strategy:
    """Owner references of a child: of the owner, of its namesake, of nobody, of two at once."""
    one = st.fixed_dictionaries(
        {
            "apiVersion": st.sampled_from((meta.API_VERSION, "v1", "x/y")),
            "kind": st.sampled_from((kind, "Pod", "Nothing")),
            "name": st.sampled_from((name, "n" * 253)),
            "uid": st.sampled_from((*uids, "00000000-0000-0000-0000-000000000000", "\u0663")),
        },
        optional={"controller": st.booleans()},
    )
    return st.lists(one, max_size=2)
