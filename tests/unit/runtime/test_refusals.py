"""Refusals: visible until accepted or the owner changes, retried with patience, never in a hot loop."""

import pytest

from perennial.api.resources import JOBS, TRAININGJOBS
from perennial.kube.errors import BadRequest, Forbidden, Invalid, NameTaken, QuotaExceeded
from perennial.plan import Create, Delete
from perennial.runtime.key import Key
from perennial.runtime.refusals import Refusals, fingerprint
from perennial.view import Refusal
from tests.unit.runtime.builders import a_body, a_job

KEY = Key(TRAININGJOBS, "ns", "tj")
TARGET = Key(JOBS, "ns", "job")
OWNER = a_body(TRAININGJOBS, "tj", metadata={"generation": 1})
EDITED = a_body(TRAININGJOBS, "tj", metadata={"generation": 2})
ANEW = a_body(TRAININGJOBS, "tj", uid="uid-new", metadata={"generation": 1})
CREATE = Create(a_job())
QUOTA = QuotaExceeded("exceeded quota", code=403)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refusals(clock):
    return Refusals(clock)


def test_the_first_refusal_is_news_and_its_repetition_is_not(refusals, clock):
    assert refusals.record(KEY, OWNER, TARGET, CREATE, None, QUOTA) is None
    assert refusals.visible(KEY, OWNER) == Refusal(JOBS, "job", "QuotaExceeded", "exceeded quota")
    assert refusals.waits(KEY, OWNER, TARGET, CREATE) == 2.0
    clock.seconds = 2.0
    assert refusals.waits(KEY, OWNER, TARGET, CREATE) is None
    assert refusals.record(KEY, OWNER, TARGET, CREATE, None, QUOTA) == 4.0


def test_patience_doubles_to_half_a_minute(refusals):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, QUOTA)
    assert [refusals.record(KEY, OWNER, TARGET, CREATE, None, QUOTA) for _ in range(6)] == [4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("error", [Invalid("no"), BadRequest("no")], ids=lambda error: error.reason)
def test_what_breaks_a_rule_is_retried_rarely(refusals, error):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, error)
    assert refusals.waits(KEY, OWNER, TARGET, CREATE) == 300.0


def test_another_reason_is_news(refusals):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, Forbidden("policy"))
    assert refusals.record(KEY, OWNER, TARGET, CREATE, None, QUOTA) is None
    assert refusals.visible(KEY, OWNER).reason == "QuotaExceeded"


@pytest.mark.parametrize("owner", [EDITED, ANEW, None], ids=["edited", "made anew", "gone"])
def test_another_owner_is_another_story(refusals, owner):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, Invalid("no"))
    assert refusals.visible(KEY, owner) is None
    assert refusals.waits(KEY, owner, TARGET, CREATE) is None


def test_another_action_is_tried_at_once(refusals):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, Invalid("no"))
    assert refusals.waits(KEY, OWNER, TARGET, Create(a_job(spec={"suspend": True}))) is None
    assert refusals.waits(KEY, OWNER, Key(JOBS, "ns", "other"), Create(a_job("other"))) is None


def test_when_who_has_the_name_goes_it_is_tried_at_once(refusals):
    refusals.record(KEY, OWNER, TARGET, CREATE, "uid-theirs", NameTaken("theirs"))
    assert refusals.waits(KEY, OWNER, TARGET, CREATE, "uid-theirs")
    assert refusals.waits(KEY, OWNER, TARGET, CREATE, None) is None


def test_acceptance_ends_it(refusals):
    refusals.record(KEY, OWNER, TARGET, CREATE, None, Invalid("no"))
    assert not refusals.accepted(KEY, Key(JOBS, "ns", "other"))
    assert refusals.visible(KEY, OWNER)
    assert refusals.accepted(KEY, TARGET)
    assert not refusals.accepted(KEY, TARGET)
    assert refusals.visible(KEY, OWNER) is None


def test_of_two_the_latest_is_seen_and_both_keep_their_patience(refusals):
    other = Key(JOBS, "ns", "other")
    refusals.record(KEY, OWNER, TARGET, CREATE, None, Invalid("no"))
    refusals.record(KEY, OWNER, other, Create(a_job("other")), None, NameTaken("theirs"))
    assert refusals.visible(KEY, OWNER).name == "other"
    assert refusals.waits(KEY, OWNER, TARGET, CREATE)
    assert refusals.accepted(KEY, other)
    assert refusals.visible(KEY, OWNER).name == "job"


def test_actions_are_told_apart_by_what_they_would_do():
    delete = Delete(JOBS, "ns", "job", "uid-1")
    assert fingerprint(delete) != fingerprint(Delete(JOBS, "ns", "job", "uid-2"))
    assert fingerprint(CREATE) == fingerprint(Create(a_job()))
