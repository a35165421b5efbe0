"""Merge patches: what they promise for any two bodies, and the named cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.runtime.merge import difference, digest, is_patched, seen, shows, without_none
from tests.fakes import merged

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from("abc")
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner), max_leaves=8
)
bodies = st.dictionaries(st.sampled_from("xyz"), values).map(without_none)


@given(bodies, bodies)
def test_the_difference_turns_old_into_new(old, new):
    assert merged(old, difference(old, new)) == new


@given(bodies)
def test_nothing_is_written_for_what_is_equal(body):
    assert difference(body, body) == {}


@given(bodies, bodies)
def test_an_object_shows_an_intent_that_was_merged_into_it(body, intent):
    assert shows(merged(body, intent), intent)


@given(bodies, bodies | st.dictionaries(st.sampled_from("xyz"), st.none() | values.map(without_none)))
def test_a_patch_is_left_out_when_it_would_change_nothing_and_only_then(body, patch):
    assert is_patched(body, patch) == (merged(body, patch) == body)
    assert is_patched(merged(body, patch), patch)


def test_a_patch_that_takes_something_from_inside_a_list_is_not_left_out():
    route = {"rules": [{"filters": [{"type": "RequestMirror"}], "name": "a"}]}
    assert not is_patched(route, {"rules": [{"name": "a"}]})


@given(bodies, bodies)
def test_what_shows_an_intent_is_seen_as_the_intent(body, intent):
    if shows(body, intent) and seen(body, intent) != intent:
        # Only an empty part of the intent may be missing in the object.
        assert "{}" in str(intent)


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({"a": 1}, {}, {"a": None}, id="a vanished key is removed"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, {"a": {"b": None}}, id="a vanished inner key too"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, {"a": [1]}, id="lists are replaced whole"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="another type"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}, id="emptied"),
    ],
)
def test_difference(old, new, patch):
    assert difference(old, new) == patch


@pytest.mark.parametrize(
    ("observed", "intent", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="what is not named is free"),
        pytest.param({"a": 1}, {"a": 2}, False, id="another value"),
        pytest.param({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True, id="defaults inside a list"),
        pytest.param({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}]}, False, id="one too many"),
        pytest.param({"a": 1}, {"b": None}, True, id="None means absent"),
        pytest.param({"b": 1}, {"b": None}, False, id="None and present"),
        pytest.param({}, {"a": {}}, True, id="an empty part may be left out"),
    ],
)
def test_shows(observed, intent, expected):
    assert shows(observed, intent) is expected


def test_the_digest_does_not_depend_on_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 2})
