"""Turns are fair whatever is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from perennial.ingest.turns import Turns

PARTIES = st.sampled_from("abc")


@given(wanted=st.lists(st.tuples(PARTIES, st.integers(0, 20)), max_size=60), party=PARTIES)
def test_a_turn_comes_when_it_was_said(wanted: list[tuple[str, int]], party: str) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for one in wanted:
        turns.add(one[0], one)
    most = turns.before(party)
    turns.add(party, ("last", 0))
    taken = []
    while turns:
        taken.append(turns.take())
    assert taken.index(("last", 0)) <= most
    assert sorted(taken) == sorted({*wanted, ("last", 0)})
    for name in "abc":
        mine = [one for one in taken if one[0] == name]
        assert mine == list(dict.fromkeys(one for one in wanted if one[0] == name))


def test_one_who_wants_much_waits_longest() -> None:
    turns: Turns[str] = Turns()
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(name[0], name)
    assert [turns.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]
