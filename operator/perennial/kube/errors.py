"""Answers of the API server that are not success, as types, and what each means for a reconcile."""

import enum
from typing import Any


class Meaning(enum.Enum):
    """What a failed request asks of the reconcile that made it."""

    RETRY = "retry"  # The world is in the way: again after a backoff.
    CONFLICT = "conflict"  # Decided on stale state: again at once, on fresh state.
    REFUSED = "refused"  # Someone must change something: say so on the object, in the server's words.


class ApiError(Exception):
    """A request to the Kubernetes API that failed.

    `code` is the HTTP status (0 when no answer came), `reason` a CamelCase word, by default the type's name, and
    `message` the server's own sentence.
    """

    meaning = Meaning.REFUSED

    def __init__(self, message: str, *, code: int = 0, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason or type(self).__name__
        self.details = details or {}


class NotFound(ApiError):
    """There is no such object, or no such resource."""


class AlreadyExists(ApiError):
    """An object of that name exists."""

    meaning = Meaning.CONFLICT


class Conflict(ApiError):
    """A resourceVersion or uid precondition does not hold any more."""

    meaning = Meaning.CONFLICT


class Invalid(ApiError):
    """The object breaks its schema or a validation rule (422)."""


class BadRequest(ApiError):
    """The request makes no sense to the server (400), or an admission webhook chose to say so."""


class Forbidden(ApiError):
    """Denied by admission (quota, Pod Security, a policy): the object would have to change, or the namespace."""


class Denied(ApiError):
    """The operator itself lacks a right. It passes by itself while an API server starts and its RBAC warms up."""

    meaning = Meaning.RETRY


class QuotaExceeded(Forbidden):
    """Denied by a ResourceQuota: the same request can succeed later."""


class NameTaken(ApiError):
    """An object of the wanted name exists and belongs to somebody else: it is neither adopted nor touched."""


class Expired(ApiError):
    """A resourceVersion or continue token is too old (410): list anew."""

    meaning = Meaning.RETRY


class TooManyRequests(ApiError):
    """The server asks for patience: `retry_after` seconds."""

    meaning = Meaning.RETRY

    def __init__(self, message: str, *, retry_after: float = 1.0, code: int = 429) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """No usable answer: 5xx, 401 during a rotation or a start, a time-out, a broken connection."""

    meaning = Meaning.RETRY


class NotLeading(ApiError):
    """A write was held back because the lease is not surely ours."""

    meaning = Meaning.RETRY


def from_status(code: int, status: dict[str, Any], retry_after: str | None = None) -> ApiError:
    """The error of an answer: its HTTP status, its parsed `Status` body (or empty) and its Retry-After header."""
    message = str(status.get("message") or f"HTTP {code}")
    reason = str(status.get("reason") or "")
    details = status.get("details") or {}
    if code == 429 or (retry_after and code >= 500):
        seconds = retry_after or str(details.get("retryAfterSeconds", 1))
        return TooManyRequests(message, retry_after=float(seconds) if seconds.isdigit() else 1.0, code=code)
    error = _type(code, reason, message)
    if error is Invalid and any(cause.get("field") == "metadata.uid" for cause in details.get("causes", ())):
        # How a patch says that its uid precondition does not hold.
        error = Conflict
    # The types are finer than the server's words: a quota is just "Forbidden" to it.
    return error(message, code=code, reason=reason if error is ApiError else "", details=details)


def _type(code: int, reason: str, message: str) -> type[ApiError]:
    if code == 403:
        if "exceeded quota" in message:
            return QuotaExceeded
        # The authorizer's own sentence; admission plug-ins word theirs otherwise.
        return Denied if 'User "' in message and '" cannot ' in message else Forbidden
    if code == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if code == 500 and message.startswith("failed to create typed patch object"):
        # An apply with a field that the server does not know, or of another form: no fault of the server's.
        return BadRequest
    if code == 401 or code >= 500:
        return Unavailable
    return {400: BadRequest, 404: NotFound, 410: Expired, 422: Invalid}.get(code, ApiError)
