"""The ratio of old to new replicas, by example."""

import pytest

from perennial.strategies import RollingUpdate
from perennial.strategies.step import Aim, Limits, Pods, Route, State, Targets, Traffic, reached, step, weight

ALL = Pods(3, 3, 3)
TEN = Pods(10, 10, 10)
ONE = Pods(1, 1, 1)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, 1, 0, Limits(3, 1, 0)),
        (4, "25%", "25%", Limits(4, 1, 1)),
        (3, "10%", "10%", Limits(3, 1, 0)),
        (3, 0, "10%", Limits(3, 0, 1)),
        (3, "100%", 5, Limits(3, 3, 3)),
        (0, 0, "10%", Limits(0, 0, 0)),
        (10, "30%", 0, Limits(10, 3, 0)),
    ],
)
def test_limits(replicas: int, surge: int | str, unavailable: int | str, expected: Limits) -> None:
    assert Limits.of(replicas, surge, unavailable) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(
            State(Limits(3, 1, 0), Pods(), stable=ALL, selected=Traffic.STABLE, settled=True),
            Targets(1, 3, {}, Traffic.STABLE),
            id="begins with the surge",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), stable=ALL, selected=Traffic.STABLE, settled=True),
            Targets(1, 3, {}, Traffic.SHARED),
            id="a ready pod shares before an old one goes",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), stable=ALL, selected=Traffic.SHARED, settled=False),
            Targets(1, 3, {}, Traffic.SHARED),
            id="not before requests can reach it",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), stable=ALL, selected=Traffic.SHARED, settled=True),
            Targets(1, 2, {}, Traffic.SHARED),
            id="then an old one goes",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), stable=Pods(2, 3, 2), selected=Traffic.SHARED, settled=True),
            Targets(1, 2, {}, Traffic.SHARED),
            id="a pod that is going still takes its place",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(3, 3, 3), stable=Pods(1, 1, 1), selected=Traffic.SHARED, settled=True),
            Targets(3, 1, {}, Traffic.SHARED),
            id="what the surge allows stays warm",
        ),
        pytest.param(
            State(Limits(3, 0, 1), Pods(), stable=ALL, selected=Traffic.STABLE, settled=True),
            Targets(0, 2, {}, Traffic.STABLE),
            id="without a surge an old one goes first",
        ),
        pytest.param(
            State(Limits(3, 3, 0), Pods(), stable=ALL, selected=Traffic.STABLE, settled=True),
            Targets(3, 3, {}, Traffic.STABLE),
            id="a full surge starts all at once",
        ),
        pytest.param(
            State(Limits(5, 1, 0), Pods(1, 1, 0), stable=ALL, selected=Traffic.STABLE, settled=True),
            Targets(1, 5, {}, Traffic.STABLE),
            id="asked for more: the old one grows first",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(2, 2, 2), leaving={"x": Pods(2, 2, 1)}, selected=Traffic.SHARED, settled=True),
            Targets(2, None, {"x": 1}, Traffic.SHARED),
            id="rollback: unready pods go, the rest stays until the stable one is whole",
        ),
        pytest.param(
            State(Limits(3, 1, 0), ALL, leaving={"x": Pods(1, 1, 1)}, selected=Traffic.SHARED, settled=True),
            Targets(3, None, {"x": 1}, Traffic.INCOMING),
            id="rollback: first pin, then drain",
        ),
        pytest.param(
            State(Limits(3, 1, 0), ALL, leaving={"x": Pods(1, 1, 1)}, selected=Traffic.INCOMING, settled=True),
            Targets(3, None, {"x": 0}, Traffic.INCOMING),
            id="drained when the pin is known",
        ),
        pytest.param(
            State(
                Limits(3, 1, 0), ALL, leaving={"x": Pods(1, 1, 1)}, selected=Traffic.INCOMING, settled=True, warm="x"
            ),
            Targets(3, None, {"x": 1}, Traffic.INCOMING),
            id="warm",
        ),
        pytest.param(
            State(
                Limits(3, 1, 0),
                Pods(),
                stable=Pods(1, 1, 0),
                leaving={"x": ALL},
                selected=Traffic.SHARED,
                settled=True,
            ),
            Targets(0, 0, {"x": 3}, Traffic.SHARED),
            id="superseded with a broken stable: what serves stays, what does not makes room",
        ),
    ],
)
def test_step(state: State, expected: Targets) -> None:
    (everything,) = RollingUpdate().stages()
    assert step(state, everything.aim(state)) == expected


TWO_OF_TEN = Aim(2, 8)
BESIDE = Aim(1, 10, Traffic.STABLE)
ALONE = Aim(10, 3, Traffic.INCOMING)
AT_ONCE = Aim(3, 3, Traffic.INCOMING, at_once=True)


@pytest.mark.parametrize(
    ("state", "aim", "expected"),
    [
        pytest.param(
            State(Limits(10, 3, 0), Pods(), stable=TEN, selected=Traffic.STABLE, settled=True),
            TWO_OF_TEN,
            Targets(2, 10, {}, Traffic.STABLE),
            id="no more than the aim, whatever the surge allows",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(2, 2, 2), stable=TEN, selected=Traffic.SHARED, settled=True),
            TWO_OF_TEN,
            Targets(2, 8, {}, Traffic.SHARED),
            id="the stable one gives way for them, and keeps the rest",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(2, 2, 2), stable=Pods(8, 8, 8), selected=Traffic.SHARED, settled=True),
            TWO_OF_TEN,
            Targets(2, 8, {}, Traffic.SHARED),
            id="and there it stays",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(4, 4, 4), stable=Pods(6, 6, 6), selected=Traffic.SHARED, settled=True),
            TWO_OF_TEN,
            Targets(4, 8, {}, Traffic.SHARED),
            id="back to less: the stable one grows first",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(4, 4, 4), stable=Pods(8, 8, 8), selected=Traffic.SHARED, settled=True),
            TWO_OF_TEN,
            Targets(2, 8, {}, Traffic.SHARED),
            id="then the incoming one shrinks",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(4, 4, 4), stable=Pods(8, 8, 7), selected=Traffic.SHARED, settled=True),
            TWO_OF_TEN,
            Targets(3, 8, {}, Traffic.SHARED),
            id="no more than the stable one can bear",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(), stable=TEN, selected=Traffic.STABLE, settled=True),
            BESIDE,
            Targets(1, 10, {}, Traffic.STABLE),
            id="a pod beside the stable ones",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(1, 1, 1), stable=TEN, selected=Traffic.STABLE, settled=True),
            BESIDE,
            Targets(1, 10, {}, Traffic.STABLE),
            id="which gets no requests, ready or not",
        ),
        pytest.param(
            State(
                Limits(10, 6, 0),
                Pods(),
                stable=Pods(5, 5, 5),
                leaving={"x": Pods(5, 5, 5)},
                selected=Traffic.SHARED,
                settled=True,
            ),
            BESIDE,
            Targets(0, 10, {"x": 5}, Traffic.SHARED),
            id="not made while another that leaves is needed: the Service is open to all",
        ),
        pytest.param(
            State(Limits(10, 3, 0), TEN, stable=Pods(3, 3, 3), selected=Traffic.SHARED, settled=True),
            ALONE,
            Targets(10, 3, {}, Traffic.INCOMING),
            id="all requests, and what the surge allows is kept",
        ),
        pytest.param(
            State(Limits(10, 3, 0), Pods(10, 10, 9), stable=Pods(3, 3, 3), selected=Traffic.SHARED, settled=True),
            ALONE,
            Targets(10, 3, {}, Traffic.SHARED),
            id="not before it can bear them",
        ),
        pytest.param(
            State(Limits(3, 3, 0), Pods(3, 3, 2), stable=ALL, selected=Traffic.STABLE, settled=True),
            AT_ONCE,
            Targets(3, 3, {}, Traffic.STABLE),
            id="at once: none before all are ready",
        ),
        pytest.param(
            State(Limits(3, 3, 0), ALL, stable=ALL, selected=Traffic.STABLE, settled=True),
            AT_ONCE,
            Targets(3, 3, {}, Traffic.INCOMING),
            id="and then all of them",
        ),
        pytest.param(
            State(Limits(3, 3, 0), Pods(3, 3, 1), stable=Pods(3, 3, 0), selected=Traffic.STABLE, settled=True),
            AT_ONCE,
            Targets(3, 3, {}, Traffic.SHARED),
            id="unless nobody else answers",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), leaving={"x": ALL}, selected=Traffic.LEAVING, settled=True),
            Aim(3, 0),
            Targets(1, None, {"x": 3}, Traffic.SHARED),
            id="rolled back from all requests: it shares until the stable one is whole",
        ),
        pytest.param(
            State(Limits(3, 1, 0), Pods(1, 1, 1), selected=Traffic.INCOMING, settled=True),
            Aim(1, 2),
            Targets(3, None, {}, Traffic.INCOMING),
            id="with nothing to keep beside it, it is everything",
        ),
    ],
)
def test_step_towards_an_aim(state: State, aim: Aim, expected: Targets) -> None:
    assert step(state, aim) == expected


EVERYTHING = Aim(3, 1)


@pytest.mark.parametrize(
    ("state", "aim", "expected"),
    [
        pytest.param(State(Limits(3, 1, 0), Pods(3, 3, 1)), EVERYTHING, True, id="the first serves with its first pod"),
        pytest.param(State(Limits(3, 1, 0), Pods(3, 3, 0)), EVERYTHING, False, id="not before that"),
        pytest.param(State(Limits(3, 1, 0), Pods(3, 3, 2), stable=ONE), EVERYTHING, False, id="not all ready"),
        pytest.param(
            State(Limits(3, 1, 0), ALL, stable=ONE, selected=Traffic.STABLE), EVERYTHING, False, id="no traffic yet"
        ),
        pytest.param(
            State(Limits(3, 1, 0), ALL, stable=ONE, selected=Traffic.SHARED, settled=True),
            EVERYTHING,
            True,
            id="shared and known",
        ),
        pytest.param(
            State(Limits(3, 1, 0), ONE, stable=ALL, selected=Traffic.SHARED, settled=True),
            Aim(1, 2),
            False,
            id="more of the stable one than there should be",
        ),
        pytest.param(
            State(Limits(3, 1, 0), ONE, stable=ALL, leaving={"x": ONE}, selected=Traffic.SHARED, settled=True),
            Aim(1, 3),
            False,
            id="another one still takes its part",
        ),
        pytest.param(State(Limits(3, 1, 0), ALL, stable=Pods(3, 3, 0)), EVERYTHING, True, id="nobody else serves"),
        pytest.param(
            State(Limits(3, 1, 0), ONE, stable=ALL, selected=Traffic.SHARED, settled=True),
            Aim(1, 3, obstacle="no room"),
            False,
            id="not with an obstacle",
        ),
    ],
)
def test_reached(state: State, aim: Aim, expected: bool) -> None:
    assert reached(state, aim) is expected


@pytest.mark.parametrize(
    ("selected", "expected"),
    [(Traffic.SHARED, 25), (Traffic.STABLE, 0), (Traffic.INCOMING, 100), (Traffic.LEAVING, 0), (None, 0)],
)
def test_weight(selected: Traffic | None, expected: int) -> None:
    assert weight(State(Limits(3, 1, 0), ONE, stable=ALL, selected=selected)) == expected


@pytest.mark.parametrize(
    ("settled", "leads", "kept"),
    [(True, Traffic.INCOMING, 1), (False, Traffic.INCOMING, 2), (True, Traffic.STABLE, 2), (True, None, 2)],
)
def test_a_frugal_stable_one_gives_up_pods_only_once_its_requests_are_known_to_go_elsewhere(
    settled: bool, leads: Traffic | None, kept: int
) -> None:
    state = State(
        Limits(2, 2, 0),
        Pods(2, 2, 2),
        stable=Pods(2, 2, 2),
        selected=Traffic.STABLE,
        settled=settled,
        route=Route(50, leads),
        frugal=True,
    )
    assert step(state, Aim(1, 1, Traffic.STABLE, weight=50)).stable == kept
