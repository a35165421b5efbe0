"""Analyses of servers that are not ours, as the presets name what they count: real requests to stand-ins for them."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.answers import Answers
from perennial.config import Config
from perennial.plan import Body
from perennial.questions import Answer, Question
from tests.servers import Mlflow, StandIn, Triton, Vllm
from tests.unit.modeldeployment.play import passes, rolling
from tests.unit.modeldeployment.world import SERVER, World

CHART = Path(__file__).parents[3] / "charts" / "perennial"
SERVERS: dict[str, type[StandIn]] = {"mlflow": Mlflow, "triton": Triton, "vllm": Vllm}
Ask = Callable[[Question], Answer]


def config_of(*presets: str) -> Config:
    read = (yaml.safe_load((CHART / "presets" / f"{name}.yaml").read_text()) for name in presets)
    return Config.model_validate(
        {"servingRuntimes": {name: one for preset in read for name, one in preset["servingRuntimes"].items()}},
        extra="forbid",
    )


@pytest.fixture
def ask() -> Iterator[Ask]:
    """The operator's own way to ask, once for each question."""
    with asyncio.Runner() as runner:
        answers = runner.run(Answers(Config()).__aenter__())

        @cache
        def asked(question: Question) -> Answer:
            return runner.run(answers.answer(question))

        yield asked
        runner.run(answers.__aexit__())


@pytest.fixture
def play(ask: Ask) -> Iterator[Callable[..., tuple[World, StandIn, StandIn]]]:
    """A function that rolls out version 2 by a runtime, with this metric: the world, the old and the new server."""
    servers: list[StandIn] = []

    def playing(runtime: str, metric: Body, **spec: Any) -> tuple[World, StandIn, StandIn]:
        strategy = {
            "canary": {
                "steps": [{"setWeight": 50}, {"analysis": {}}],
                "analysis": {"interval": "30s", "consecutiveErrorLimit": 1, "metrics": [metric]},
            }
        }
        world = rolling(strategy, replicas=1, runtime=runtime, config=config_of(*SERVERS), **spec)
        old, new = (SERVERS.get(runtime, Mlflow)().__enter__() for _ in range(2))
        servers.extend((old, new))
        where = {world.stable: old.address, world.rolling: new.address}
        world.address = where.__getitem__
        for pod in [*world.pods(world.stable), *world.pods(world.rolling or "")]:
            pod["status"] = {}
        world.answer = ask
        return world, old, new

    yield playing
    for server in servers:
        server.__exit__()


def looks(world: World, number: int, traffic: Callable[[int], None]) -> None:
    """So many looks of the analysis, with requests between them."""
    for look in range(number):
        passes(world, 40)
        traffic(look)
    passes(world, 60)


ERRORS: Body = {"name": "errors", "source": {"runtime": {}}, "noWorseThanStableBy": 0.05, "lowerIsBetter": True}


@pytest.mark.parametrize("runtime", ["triton", "vllm"])
@pytest.mark.parametrize(("failed", "serves"), [(2, 2), (80, 1)])
def test_a_server_that_errs_more_often_is_rolled_back_and_one_that_does_not_takes_over(
    play: Any, runtime: str, failed: int, serves: int
) -> None:
    world, old, new = play(runtime, ERRORS)

    def traffic(_: int) -> None:
        old.answers(400, failed=2)
        new.answers(400, failed=failed)

    looks(world, 3, traffic)
    assert world.serves == serves
    if serves == 1:
        assert world.candidate(2)["reason"] == "AnalysisFailed"
        assert "errors 0.2, 0.005 of the stable one, at most 0.05 worse" in world.message("Ready")


@pytest.mark.parametrize(
    ("runtime", "metric", "allowed"),
    [("triton", "latency_ms", 20), ("vllm", "latency_ms", 20), ("vllm", "first_token_ms", 5)],
)
@pytest.mark.parametrize(("seconds", "serves"), [(0.405, 2), (0.6, 1)])
def test_a_server_that_is_slower_is_rolled_back_and_one_that_is_not_takes_over(
    play: Any, runtime: str, metric: str, allowed: int, seconds: float, serves: int
) -> None:
    limit = {"noWorseThanStableBy": allowed, "lowerIsBetter": True, "minSamples": 5}
    world, old, new = play(runtime, {"name": metric, "source": {"runtime": {}}, **limit})

    def traffic(look: int) -> None:
        old.answers(100, seconds=0.4 + look % 2 / 100)
        new.answers(100, seconds=seconds + look % 2 / 100)

    looks(world, 12, traffic)
    assert world.serves == serves
    if serves == 1:
        assert world.candidate(2)["reason"] == "AnalysisFailed"


def test_before_the_first_request_nothing_is_known_and_nothing_is_wrong(play: Any) -> None:
    for runtime in ("triton", "vllm"):
        world, *_ = play(runtime, ERRORS)
        passes(world, 100)
        record = world.status["rollout"]["analysis"]
        assert (record["verdict"], record["metrics"][0]["message"]) == (
            "Inconclusive",
            "errors: 0 of at least 30 samples of the new revision",
        )


@pytest.mark.parametrize(
    ("runtime", "spec", "words"),
    [
        (
            "mlflow",
            {},
            "its serving runtime 'mlflow' has no metric 'errors'; there are: none; use `pods`, `prometheus`",
        ),
        (
            "auto",
            {"template": {"spec": {"containers": [SERVER]}}},
            "it is of no serving runtime: its template brings a server of its own, or an older operator made it; use",
        ),
    ],
)
def test_what_a_runtime_does_not_count_is_said(play: Any, runtime: str, spec: Body, words: str) -> None:
    world, *_ = play(runtime, ERRORS, **spec)
    passes(world, 100)
    assert f"errors: cannot be found out of the new revision: {words}" in world.message("Stalled")
    assert world.serves == 1


def test_each_revision_is_asked_by_the_runtime_that_it_is_of(play: Any) -> None:
    world, *_ = play("triton", ERRORS)
    # As if the stable one had been made before there was such a runtime.
    del world.objects[_deployment(world)]["metadata"]["labels"]["perennial.dev/runtime"]
    passes(world, 100)
    assert "cannot be found out of the stable one: it is of no serving runtime" in world.message("Stalled")


def _deployment(world: World) -> Any:
    return next(key for key in world.objects if key[1] == world.stable and key[0].kind == "Deployment")
