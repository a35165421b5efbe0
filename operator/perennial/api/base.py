"""The base of every typed model of the API, and the small types that several kinds share."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from perennial.api.rules import RULES, rule, validations

# An object of the API, or a part of one, as it stands in JSON.
Body = dict[str, Any]


class ApiModel(BaseModel):
    """A part of an object. Fields are camelCase in YAML; what is unknown (of a newer version, say) is left alone."""

    # Errors are logged and told: what was wrong may be a secret.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    def body(self) -> dict[str, Any]:
        """As it stands in YAML: camelCase, without what is not set, empty lists among it."""
        body = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        return {field: value for field, value in body.items() if value != []}

    def told(self) -> dict[str, Any]:
        """The same without what is by default: nothing is added to it by a release that knows one more field."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")


def digest_of(value: Any) -> str:
    """A short hash of plain data, the same for equal data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`; see `bounded`. ValueError when it is no RFC 3339 time with a zone."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return bounded(value)


def read_time(text: str | None) -> datetime | None:
    """A time that somebody else wrote, if it can be read."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def bounded(value: datetime) -> datetime:
    """The time, or the nearest between 1970 and 2200: the API takes years to which nothing can be added."""
    return min(max(value, _EARLIEST), _LATEST) if value.tzinfo else value


def read_count(text: str | None) -> int | None:
    """A count that a label says, which anybody may have written."""
    number = int(text) if text and text.isascii() and text.isdigit() else None
    return number if number is not None and number <= MOST else None


Time = Annotated[
    datetime,
    AfterValidator(bounded),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

# The API server takes anything but a text for a time where no rule reads it.
WrittenTime = Annotated[
    Time,
    WithJsonSchema(
        {"type": "string", "format": "date-time"}
        | validations(
            rule("self >= timestamp('1970-01-01T00:00:00Z')", "must be a time, of 1970 or later: 2026-01-02T03:04:05Z")
        )
    ),
]

_HASH_LENGTH = 10

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# What most objects may be called.
DNS_NAME = rf"^{_LABEL}([.]{_LABEL})*$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
# No more digits than every reader of a duration can add up.
DURATION = r"^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$"

_LONGEST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `45s` as a span of time. ValueError when it is no such text, or longer than ten years."""
    found = re.fullmatch(r"(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,10})s)?", text, re.ASCII)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration such as 90s, 15m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if span > _LONGEST:
        raise ValueError(f"{text} is longer than ten years")
    return span


def _readable(duration: str) -> str:
    parse_duration(duration)
    return duration


Digest = Annotated[str, Field(pattern=DIGEST, max_length=71)]
Duration = Annotated[str, Field(pattern=DURATION, min_length=2, max_length=24), AfterValidator(_readable)]
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$", max_length=63)]
_CLAIM_URI = validations(
    rule(
        "!self.startsWith('pvc://') || "
        f"(self.matches('^pvc://[-a-z0-9.]{{1,253}}(/.*)?$') && self.matches('^pvc://{_LABEL}([.]{_LABEL})*(/.*)?$'))",
        "a path on a volume claim is written pvc://<claim>/<path>, the whole claim pvc://<claim>",
    ),
    rule(
        "!self.matches('^(pvc|s3)://(.*/)?[.][.]?(/.*)?$')",
        "a path must not have the parts `.` and `..`",
    ),
    rule(
        "!self.matches('^(s3|https?):///')",
        "the bucket or the host is missing: s3://<bucket>/<path>, https://<host>/<path>",
    ),
    rule("!self.matches('^s3://[^/]*@')", "keys of a store belong into the Secret that storage.secretName names"),
)
_SECRETS = re.compile(r"^(https?://)(?:[^/?#]*@)?([^?#]*).*$", re.DOTALL)


def public_uri(uri: str) -> str:
    """The URI as it may be told: of http(s) without user, password and query, in which signatures are."""
    return _SECRETS.sub(r"\1\2", uri)


def _sound(uri: str) -> str:
    """As the rules above say: what a pod answers has not been through them."""
    claim = re.fullmatch(rf"pvc://(?=[^/]{{1,253}}(/|$)){_LABEL}([.]{_LABEL})*(/.*)?", uri) or not uri.startswith(
        "pvc:"
    )
    if not claim or re.fullmatch(r"(pvc|s3)://(.*/)?[.][.]?(/.*)?", uri) or re.match(r"s3://[^/]*@|\w+:///", uri):
        raise ValueError("is no path in a store")
    return uri


# Not \s, by which the API server and pydantic understand different characters.
_TEXT = r"[^ \t\n\r\f\v]"
StorageUri = Annotated[
    str,
    Field(pattern=rf"^(s3|pvc)://{_TEXT}+$", max_length=1024, json_schema_extra=_CLAIM_URI),
    AfterValidator(_sound),
]
InputUri = Annotated[
    str,
    Field(pattern=rf"^(https?|s3|pvc)://{_TEXT}+$", max_length=1024, json_schema_extra=_CLAIM_URI),
    AfterValidator(_sound),
]
# What may lie there, of data that the agent reads itself.
TABLES = "CSV, JSON Lines or Parquet, one file or all below a prefix"
# Besides, where a Git repository's reference points. Who may read it is said by the Secret of the store.
DataUri = Annotated[
    str,
    Field(
        pattern=rf"^(https?|s3|pvc|git[+]https?)://{_TEXT}+$",
        max_length=1024,
        json_schema_extra=_CLAIM_URI
        | validations(
            *_CLAIM_URI[RULES],
            rule(
                "!self.startsWith('git+') || self.matches('^git[+]https?://[^@/]+/[^@]+@[^@]+$')",
                "a reference of a Git repository is written git+https://<host>/<repository>@<branch or tag>",
            ),
        ),
    ),
    AfterValidator(_sound),
]
# How many there are, where the operator counts: nothing that is added to it leaves what the API can hold.
MOST = 2_147_483_647
Count = Annotated[int, Field(ge=0, le=MOST)]
INT_OR_PERCENT = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
    "minimum": 0,
    "maximum": 10_000,
    "pattern": "^[0-9]{1,3}%$",
    "maxLength": 4,
}
IntOrPercent = Annotated[int | str, Field(json_schema_extra=INT_OR_PERCENT)]
# Plain numbers: people type 0.9, not "0.9".
Number = Annotated[float, Field(allow_inf_nan=False)]

# How server-side apply merges a list: item by item, found by this field.
MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
SET = {"x-kubernetes-list-type": "set"}
MAP_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class Condition(ApiModel):
    """One aspect of an object's state, as metav1.Condition."""

    type: Annotated[str, Field(max_length=63)] = Field(description="Name of the condition.")
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$")] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="One CamelCase word for programs.")
    message: Annotated[str, Field(max_length=32768)] = Field(
        "", description="What is going on and what to do about it."
    )
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: int | None = Field(None, description="The generation that the condition was decided on.")


class Storage(ApiModel):
    """Credentials for stores."""

    secret_name: Annotated[str, Field(pattern=DNS_NAME, min_length=1, max_length=253)] = Field(
        description="A Secret of this namespace whose keys become environment variables (AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, ...) of the containers that read and write the store."
    )
