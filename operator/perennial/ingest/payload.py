"""Reads a report: bytes from anybody become samples, or a refusal that names what is wrong."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from perennial.api.base import MetricName, parse_time
from perennial.api.metricseries import Revision
from perennial.ingest.refusal import Refusal, faulty
from perennial.metricseries.sample import Problem, Sample

MAX_BYTES = 256 * 1024
MAX_SAMPLES = 1000
# So that sums stay finite.
_LARGEST = 1e100
_MOST = 1_000_000_000
_NO_REVISION = "missing: the header Perennial-Revision of the model server's answer says it"


def _seconds(value: object) -> object:
    """A timestamp in RFC 3339 as seconds since 1970; anything else is left for the number's own check."""
    return parse_time(value).timestamp() if isinstance(value, str) else value


def _bounded(value: float) -> float:
    if abs(value) > _LARGEST:
        raise ValueError(f"must be at most {_LARGEST:g}, or at least {-_LARGEST:g}")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Sample(_Strict):
    name: MetricName
    value: Annotated[float, Field(allow_inf_nan=False), AfterValidator(_bounded)]
    revision: Revision
    timestamp: Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_seconds)] | None = None
    count: Annotated[int, Field(ge=1, le=_MOST)] = 1


class _Report(_Strict):
    samples: Annotated[list[_Sample], Field(min_length=1, max_length=MAX_SAMPLES)]


def parse(body: bytes, now: float) -> list[Sample]:
    """The samples of a report; one without a timestamp is of `now`. Raises Refusal (400)."""
    try:
        report = _Report.model_validate(json.loads(body, object_pairs_hook=_object, parse_constant=_constant))
    except ValidationError as error:
        raise _refusal(error) from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {str(error)[:200]}") from None
    return [
        Sample(one.name, one.value, now if one.timestamp is None else one.timestamp, one.revision, one.count)
        for one in report.samples
    ]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without keys that are there twice: which of them was meant, nobody can say."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:63]!r} is there twice in one object")
        found[key] = value
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _refusal(error: ValidationError) -> Refusal:
    problems = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        match fault["loc"]:
            case ("samples", int() as index, *rest):
                field = ".".join(str(part)[:63] for part in rest[:1])
                missing = fault["type"] == "missing" and field == "revision"
                problems.append(Problem(index, field, _NO_REVISION if missing else _words(fault["msg"])))
            case place:
                words = ".".join(str(part)[:63] for part in place) or "the body"
                return Refusal(400, f"{words}: {_words(fault['msg'])}")
    return faulty(problems)


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
