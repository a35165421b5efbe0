"""Which type an answer becomes, and what that means for a reconcile."""

import pytest

from perennial.kube import errors
from perennial.kube.errors import Meaning, from_status

RBAC = 'jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create resource "jobs" in API group "batch"'
QUOTA = 'jobs.batch "x" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: 1, limited: 1'
UNKNOWN = (
    "failed to create typed patch object (a/b; policy/v1, Kind=X): .spec.minAvailabel: field not declared in schema"
)
PODS = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


@pytest.mark.parametrize(
    ("code", "status", "expected", "meaning"),
    [
        pytest.param(404, {}, errors.NotFound, Meaning.REFUSED, id="404"),
        pytest.param(409, {"reason": "AlreadyExists"}, errors.AlreadyExists, Meaning.CONFLICT, id="name in use"),
        pytest.param(409, {"reason": "Conflict"}, errors.Conflict, Meaning.CONFLICT, id="stale"),
        pytest.param(422, {"reason": "Invalid"}, errors.Invalid, Meaning.REFUSED, id="invalid"),
        pytest.param(
            422, {"details": {"causes": [{"field": "metadata.uid"}]}}, errors.Conflict, Meaning.CONFLICT, id="other uid"
        ),
        pytest.param(400, {"reason": "BadRequest"}, errors.BadRequest, Meaning.REFUSED, id="bad request"),
        pytest.param(403, {"message": RBAC, "reason": "Forbidden"}, errors.Denied, Meaning.RETRY, id="our own rights"),
        pytest.param(403, {"message": QUOTA}, errors.QuotaExceeded, Meaning.REFUSED, id="quota"),
        pytest.param(403, {"message": PODS}, errors.Forbidden, Meaning.REFUSED, id="pod security"),
        pytest.param(410, {"reason": "Expired"}, errors.Expired, Meaning.RETRY, id="expired"),
        pytest.param(401, {}, errors.Unavailable, Meaning.RETRY, id="token rotated"),
        pytest.param(500, {}, errors.Unavailable, Meaning.RETRY, id="server error"),
        pytest.param(500, {"message": UNKNOWN}, errors.BadRequest, Meaning.REFUSED, id="unknown field in an apply"),
        pytest.param(504, {}, errors.Unavailable, Meaning.RETRY, id="gateway"),
        pytest.param(405, {"reason": "MethodNotAllowed"}, errors.ApiError, Meaning.REFUSED, id="something else"),
    ],
)
def test_type_and_meaning(code, status, expected, meaning):
    error = from_status(code, status)
    assert type(error) is expected
    assert error.meaning is meaning
    assert error.message == status.get("message", f"HTTP {code}")


@pytest.mark.parametrize(
    ("code", "status", "header", "seconds"),
    [
        pytest.param(429, {}, "7", 7.0, id="header"),
        pytest.param(429, {"details": {"retryAfterSeconds": 3}}, None, 3.0, id="body"),
        pytest.param(429, {}, None, 1.0, id="neither"),
        pytest.param(429, {}, "Wed, 21 Oct 2026 07:28:00 GMT", 1.0, id="a date"),
        pytest.param(503, {}, "2", 2.0, id="overloaded"),
    ],
)
def test_patience(code, status, header, seconds):
    error = from_status(code, status, header)
    assert isinstance(error, errors.TooManyRequests)
    assert error.retry_after == seconds


def test_the_reason_is_the_type_unless_the_type_says_nothing():
    assert from_status(403, {"message": QUOTA, "reason": "Forbidden"}).reason == "QuotaExceeded"
    assert from_status(405, {"reason": "MethodNotAllowed"}).reason == "MethodNotAllowed"
