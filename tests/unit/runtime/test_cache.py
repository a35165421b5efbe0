"""The cache: newest wins, nothing comes back from the dead, a LIST prunes, owners find their own."""

import pytest

from perennial.api.resources import JOBS, PODS, TRAININGJOBS
from perennial.runtime.asker import Asker, nobody
from perennial.runtime.cache import Cache
from perennial.runtime.key import Key
from perennial.runtime.refusals import Refusals
from tests.unit.runtime.builders import a_body, a_job

JOB = Key(JOBS, "ns", "job")


@pytest.fixture
def told():
    return []


@pytest.fixture
def cache(told):
    cache = Cache(Refusals(lambda: 0.0), Asker(nobody, lambda _: None))
    cache.listen(lambda resource, before, after: told.append((before is not None, after is not None)))
    return cache


def test_the_newest_version_wins_in_any_order(cache, told):
    assert cache.put(JOBS, a_job(version=9, status={"active": 9}))
    assert not cache.put(JOBS, a_job(version=10 - 2, status={"active": 8}))
    assert not cache.put(JOBS, a_job(version=9))
    assert cache.put(JOBS, a_job(version=10, status={"active": 10}))
    assert cache.get(*JOB)["status"] == {"active": 10}
    assert told == [(False, True), (True, True)]


def test_a_late_answer_does_not_bring_back_what_was_deleted(cache):
    cache.put(JOBS, a_job(version=5))
    assert cache.remove(JOB, 7)
    assert not cache.put(JOBS, a_job(version=6))
    assert cache.get(*JOB) is None


def test_an_object_made_anew_under_the_name_is_seen(cache):
    cache.put(JOBS, a_job(version=5))
    cache.remove(JOB, 7)
    assert cache.put(JOBS, a_job(version=8, uid="other"))
    assert not cache.remove(JOB, 7), "the deletion of its predecessor is old news"
    assert not cache.remove(JOB, 9, uid="uid-job"), "another uid is meant"


def test_owned_follows_the_controller_reference(cache):
    cache.put(JOBS, a_job("a", owner="one"))
    cache.put(JOBS, a_job("b", owner="one"))
    assert [body["metadata"]["name"] for body in cache.owned(JOBS, "uid-one")] == ["a", "b"]
    cache.put(JOBS, a_job("b", owner="two", version=2))
    assert [body["metadata"]["name"] for body in cache.owned(JOBS, "uid-two")] == ["b"]
    cache.put(JOBS, a_job("a", owner="one", version=3, status={"active": 1}))
    assert cache.owned(JOBS, "uid-one")[0]["status"] == {"active": 1}
    cache.remove(Key(JOBS, "ns", "a"), 4)
    assert cache.owned(JOBS, "uid-one") == ()
    assert cache.owned(PODS, "uid-two") == ()


def test_a_list_prunes_what_vanished_and_spares_what_is_newer(cache):
    for name, version in {"kept": 3, "vanished": 4, "made-later": 12}.items():
        cache.put(JOBS, a_job(name, version=version))
    cache.put(TRAININGJOBS, a_body(TRAININGJOBS, "other"))
    stale = cache.replace(JOBS, {Key(JOBS, "ns", "kept"): 3}, version=10)
    assert stale == []
    assert {key.name for key in cache.keys(JOBS)} == {"kept", "made-later"}
    assert cache.get(TRAININGJOBS, "ns", "other")


def test_a_list_names_what_the_cache_lacks(cache):
    cache.put(JOBS, a_job("old", version=3))
    cache.put(JOBS, a_job("gone", version=4))
    cache.remove(Key(JOBS, "ns", "gone"), 9)
    listed = {Key(JOBS, "ns", "old"): 7, Key(JOBS, "ns", "unknown"): 2, Key(JOBS, "ns", "gone"): 4}
    assert {key.name for key in cache.replace(JOBS, listed, version=8)} == {"old", "unknown"}


def test_list_is_by_namespace(cache):
    cache.put(JOBS, a_job("here"))
    cache.put(JOBS, a_job("there") | {"metadata": {**a_job("there")["metadata"], "namespace": "elsewhere"}})
    assert [body["metadata"]["name"] for body in cache.list(JOBS, "ns")] == ["here"]
    assert cache.list(JOBS, "nowhere") == ()


def test_objects_are_found_by_their_index_wherever_they_move():
    cache = Cache(Refusals(lambda: 0.0), Asker(nobody, lambda _: None), {JOBS: lambda body: body["status"].get("of")})

    def names(value):
        return [body["metadata"]["name"] for body in cache.indexed(JOBS, JOB.namespace, value)]

    cache.put(JOBS, a_job(version=1, status={"of": "a"}))
    assert (names("a"), names("b")) == ([JOB.name], [])
    cache.put(JOBS, a_job(version=2, status={"of": "b"}))
    assert (names("a"), names("b")) == ([], [JOB.name])
    cache.put(JOBS, a_job(version=3, status={}))
    assert (names("a"), names("b")) == ([], [])
    cache.put(JOBS, a_job(version=4, status={"of": "b"}))
    assert cache.indexed(JOBS, JOB.namespace, "b")[0] is cache.get(*JOB)
    cache.remove(JOB, 5)
    assert names("b") == []
    assert cache.indexed(JOBS, "elsewhere", "b") == ()
