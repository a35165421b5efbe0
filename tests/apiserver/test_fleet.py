"""All policies together, with the real operator: so many trainings at once, and an outage that starts none."""

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import RETRAINPOLICIES, TRAININGJOBS
from perennial.jobs import job_condition
from perennial.plan import Body
from tests.apiserver.operators import PRESETS, USER, Perennial, apply_kinds, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.apiserver.test_notices import TRAINING
from tests.receiver import Receiver, receiver

MOST, STORM = 2, 12
HOLD = 15  # seconds
ACCURACY: Body = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9}}


@pytest.fixture(scope="module")
def people() -> Iterator[Receiver]:
    with receiver() as people:
        yield people


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("fleet")
    with ApiServer(folder, users={USER: ["system:masters"]}, audit=True, controller_manager=True) as server:
        apply_kinds(server)
        yield server


@pytest.fixture(scope="module")
def operator(server: ApiServer, people: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Perennial]:
    config = tmp_path_factory.mktemp("config") / "config.yaml"
    storm = {"policies": STORM, "within": "20s", "hold": f"{HOLD}s", "receivers": ["people"]}
    receivers = {"people": {"form": "CloudEvents", "url": people.url}}
    config.write_text(
        json.dumps(PRESETS | {"retraining": {"maxConcurrent": MOST, "storm": storm}, "receivers": receivers})
    )
    with Perennial(server, "perennial-0", config) as operator:
        operator.started()
        yield operator


def policies(space: Space, count: int, *triggers: Body) -> list[str]:
    names = [f"p{number}" for number in range(count)]
    for name in names:
        template = {"spec": TRAINING}
        spec = {"deployment": {"name": "churn"}, "trainingJobTemplate": template, "triggers": list(triggers)}
        space.make(RETRAINPOLICIES, name, spec)
    return names


def status(space: Space, name: str) -> Body:
    return (space.get(RETRAINPOLICIES, name) or {}).get("status") or {}


def has_failed(space: Space, job: str) -> bool:
    (run,) = status(space, job.removesuffix("-1"))["runs"]
    return bool(run["phase"] == "Failed")


def under_way(*spaces: Space) -> list[tuple[Space, str]]:
    """The trainings that have not ended, of all these namespaces."""
    found = [(space, job) for space in spaces for job in space.every(TRAININGJOBS)]
    return [(space, job["metadata"]["name"]) for space, job in found if not job_condition(job, "Complete", "Failed")]


def test_no_more_are_under_way_than_may_be_and_each_namespace_has_its_turn(
    server: ApiServer, operator: Perennial
) -> None:
    greedy, modest = Space(server), Space(server)
    for space in (greedy, modest):
        Serving(space).serve_first()
    asked = [(space, name) for space, count in ((greedy, 5), (modest, 1)) for name in policies(space, count)]
    for space, name in asked:
        space.patch(RETRAINPOLICIES, name, {"metadata": {"annotations": {"perennial.dev/run-request": "1"}}})
    eventually(lambda: all(status(space, name).get("runs") for space, name in asked))
    ended: list[tuple[Space, str]] = []
    seen: set[str] = set()
    for turn in range(len(asked)):
        eventually(lambda: len(under_way(greedy, modest)) == min(MOST, len(asked) - len(ended)), 60)
        if turn == 1:
            operator.kill()
            operator.restart()
            operator.started()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert len(under_way(greedy, modest)) <= MOST
        now = under_way(greedy, modest)
        seen |= {f"{space.name}/{job}" for space, job in now}
        assert turn < 1 or f"{modest.name}/p0-1" in seen, "the next place was its own"
        if waiting := [name for name in (f"p{number}" for number in range(5)) if f"{greedy.name}/{name}-1" not in seen]:
            (run,) = status(greedy, waiting[0])["runs"]
            assert (run["phase"], run["message"].split(":")[0]) == ("Pending", "waits for its turn")
        # The one of the greedy first, if there is one: then both of the two places would be its own.
        ended.append(next((one for one in now if one[0] is greedy), now[0]))
        space, job = ended[-1]
        space.delete(TRAININGJOBS, job)
        eventually(partial(has_failed, space, job))
    assert len(seen) == len(asked)
    assert under_way(greedy, modest) == []


def test_an_outage_that_many_see_starts_nothing_and_is_told_once(
    server: ApiServer, operator: Perennial, people: Receiver
) -> None:
    space = Space(server)
    Serving(space).serve_first()
    names = policies(space, STORM, ACCURACY)
    eventually(lambda: all(status(space, name).get("triggers") for name in names))
    space.measured("churn", "accuracy", 0.1, 50)
    eventually(lambda: all("one outage" in status(space, name)["triggers"][0].get("message", "") for name in names), 60)
    eventually(lambda: [body["type"] for _, _, body in people.told] == ["dev.perennial.retrainpolicy.RetrainStorm"])
    assert "the limits of 1" in people.told[0][2]["data"]["summary"]
    # It is over: all is as it was.
    space.measured("churn", "accuracy", 1.0, 5000)
    eventually(lambda: all(status(space, name)["triggers"][0]["state"] == "Ok" for name in names))
    space.rests(3)
    assert under_way(space) == []
    assert [status(space, name).get("runs", []) for name in names] == [[]] * STORM
    assert {row["reason"] for name in names for row in status(space, name)["skipped"]} == {"Storm"}
    assert len(people.told) == 1


def test_one_that_lasts_is_dealt_with_in_turns(server: ApiServer, operator: Perennial) -> None:
    space = Space(server)
    Serving(space).serve_first()
    names = policies(space, STORM, ACCURACY)
    eventually(lambda: all(status(space, name).get("triggers") for name in names))
    space.measured("churn", "accuracy", 0.1, 50)
    begun = time.monotonic()
    eventually(lambda: len(under_way(space)) == MOST, 90)
    assert time.monotonic() - begun > HOLD, "meanwhile it might have recovered"
    eventually(lambda: all(status(space, name).get("runs") for name in names), 60)
    assert len(under_way(space)) == MOST
