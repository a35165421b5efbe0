"""Poison: what others write on an object ends no process, hurts no other object, and is not written on."""

import asyncio
import json
import signal
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from jsonschema import Draft4Validator

from perennial.api.resources import JOBS, OWN_KINDS, TRAININGJOBS, of
from perennial.config import Config
from perennial.controllers import CONTROLLERS
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.plan import Body, Create, Plan
from perennial.runtime.projection import project
from tests.apiserver.operators import Perennial
from tests.apiserver.space import Space
from tests.prove import hostile, poisoned, poisoning, twins
from tests.prove.report import FULL, Proof, scaled
from tests.world import World

SEED = 6
# Changes in a second: of the others, and of the poisoned one, which changes a dozen times as often as each of them.
RATE, POISON_RATE = 40, 1
NOW = datetime(2026, 11, 21, 12, 0, 30, 123456, tzinfo=UTC)
VALIDATORS = {resource: Draft4Validator(schema) for resource, schema in hostile.SCHEMAS.items()}


def unsendable(plan: Plan, owner: Body) -> Iterable[str]:
    """What the API server would refuse of a plan, by the schemas of our own kinds."""
    json.dumps([asdict(action) for action in plan.actions], allow_nan=False, default=str)
    bodies = [{**owner, "status": plan.status}] if plan.status is not None else []
    bodies += [action.body for action in plan.actions if isinstance(action, Create) and of(action.body) in OWN_KINDS]
    for body in bodies:
        json.dumps(body, allow_nan=False)
        part = "status" if body.get("uid") == owner["metadata"]["uid"] else "spec"
        for error in VALIDATORS[of(body)].iter_errors({key: body[key] for key in body if key in ("spec", "status")}):
            if list(error.absolute_path)[:1] != ["spec"] or body is not bodies[0]:
                yield f"{of(body).kind} {part} {list(error.absolute_path)}: {error.message[:200]}"


@pytest.mark.proof("Poison")
def test_no_decision_raises_whatever_others_wrote(proof: Proof) -> None:
    faults: Counter[str] = Counter()
    worlds = hostile.samples(poisoned.worlds, scaled(1_000, 250), SEED)
    for bodies in worlds:
        view = World(*(project(of(body), body) for body in bodies))
        for controller in CONTROLLERS:
            for body in view.objects.values():
                watch = controller.watches.get(of(body))
                named = {name.name for name in watch(view, body)} if watch else set()
                if of(body) == controller.resource:
                    named.add(body["metadata"]["name"])
                for name in named:
                    proof.count("decisions")
                    try:
                        snapshot = controller.gather(view, poisoned.NAMESPACE, name)
                        if snapshot is None:
                            continue
                        plan = controller.decide(snapshot, NOW, Config())
                        owner = view.get(controller.resource, poisoned.NAMESPACE, name) or poisoned.body(
                            TRAININGJOBS, "x"
                        )
                        for fault in unsendable(plan, owner):
                            faults[fault] += 1
                    except Exception as error:
                        last = traceback.extract_tb(error.__traceback__)
                        ours = [f for f in last if "/perennial/" in f.filename][-1]
                        where = f"{ours.filename.rpartition('/perennial/')[2]}:{ours.lineno} {ours.line}"
                        faults[f"{controller.resource.kind} {type(error).__name__} {str(error)[:150]!r} {where}"] += 1
    proof.count("hostile worlds", len(worlds))
    assert not faults, f"seed {SEED}: " + "\n".join(f"{count} x {fault}" for fault, count in faults.most_common())


@pytest.mark.proof("Poison")
async def test_whatever_others_write_on_an_object_the_process_goes_on_and_says_what_is_wrong(
    space: Space, perennial: Perennial, proof: Proof
) -> None:
    number = scaled(10_000, 150)
    async with HttpClient(login.load(str(space.server.kubeconfig))) as client:
        poison = poisoning.Poison(space.name, client)
        await poison.make()
        with unharmed(perennial):
            variants = hostile.samples(poisoning.variants, number, SEED)
            for start in range(0, number, 8):
                await asyncio.gather(*(poison.apply(variant) for variant in variants[start : start + 8]))
    assert poison.counts["taken"] > 0.6 * number, "what is refused proves nothing"
    proof.count("variants taken by the API server", poison.counts["taken"])
    proof.count("variants refused by it", poison.counts["refused"])


@pytest.mark.alone
@pytest.mark.proof("Poison")
async def test_one_poisoned_object_among_500_costs_the_others_nothing(
    space: Space, perennial: Perennial, proof: Proof
) -> None:
    rounds, seconds = scaled(12, 1), scaled(10, 4)
    # Some of what is hostile takes the API server itself a second to refuse, and then nobody is served: the same is
    # written as often where the operator does not see it.
    apart = Space(space.server)
    twins.apply_twins(space.server)
    async with (
        HttpClient(login.load(str(space.server.kubeconfig))) as client,
        poisoning.Others.watched(space, client, 499) as others,
    ):
        took: dict[bool, list[float]] = {True: [], False: []}
        with unharmed(perennial):
            for index in range(rounds):
                # Turn and turn about: whatever else the machine does, both have of it.
                for seen in (index % 2 == 0, index % 2 == 1):
                    with poisoning.beside(space if seen else apart, SEED + index, POISON_RATE, twins=not seen):
                        took[seen] += await others.round(seconds, RATE)
        proof.count("others' changes timed", len(took[True]) + len(took[False]))
    ratio = _percentile(took[True]) / _percentile(took[False])
    for seen, times in took.items():
        percentiles = [round(1000 * _percentile(times, at)) for at in (0.5, 0.9, 0.99)]
        print(f"{'poison' if seen else 'its twins'}: median, 90th and 99th percentile in ms: {percentiles}")
    proof.count("percent of the 99th percentile without it", round(100 * ratio))
    if FULL:
        assert ratio <= 1.1


@contextmanager
def unharmed(perennial: Perennial) -> Iterator[None]:
    """The operator goes on as before, raises nothing, and writes no status that the API server does not take."""
    began, process = perennial.log.stat().st_size, perennial.process
    yield
    assert process
    assert process.poll() is None, "\n".join(["the operator ended", *perennial.log.read_text().splitlines()[-20:]])
    assert perennial.get("/healthz") == "ok\n"
    with perennial.log.open() as log:
        log.seek(began)
        lines = [json.loads(line) for line in log]
    raised = Counter(line["traceback"][-300:] for line in lines if "traceback" in line)
    # Of a status that the API server does not take nobody would ever know.
    raised += Counter(one for line in lines if (one := line["message"]).startswith(("Invalid:", "BadRequest:")))
    assert not raised, f"seed {SEED}: {raised.most_common(5)}"


def _percentile(took: list[float], at: float = 0.99) -> float:
    return sorted(took)[int(at * len(took))]


async def test_an_object_nested_too_deep_is_told_of_and_outlived(space: Space, perennial: Perennial) -> None:
    process = perennial.process
    async with HttpClient(login.load(str(space.server.kubeconfig))) as client:
        for levels in (60, 900, hostile.DEEP, 9_900):
            parameters = {"depth": hostile.deep(levels)}
            spec = {**poisoned.TRAINING, "parameters": parameters}
            metadata = {"name": f"deep-{levels}", "namespace": space.name}
            body = {"apiVersion": TRAININGJOBS.api_version, "kind": TRAININGJOBS.kind, "metadata": metadata}
            await client.create({**body, "spec": spec})
            words = await asyncio.to_thread(space.says, f"deep-{levels}", "Stalled", "InvalidSpec")
            assert "nested deeper" in words
        assert process
        assert process.poll() is None
        perennial.signal(signal.SIGTERM)
        perennial.exit_code()
        perennial.restart()
        await asyncio.to_thread(space.train, "after")
        await asyncio.to_thread(space.there, JOBS, "after")
