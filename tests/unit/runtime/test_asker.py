"""Questions are put once each, and answers are kept while they are asked."""

import asyncio
from datetime import UTC, datetime

from perennial.api.resources import MODELDEPLOYMENTS
from perennial.questions import Answer, Query, Question
from perennial.runtime.asker import Asker
from perennial.runtime.key import Key

KEY = Key(MODELDEPLOYMENTS, "ns", "churn")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE, TWO = Query(NOW, "main", "one"), Query(NOW, "main", "two")


class World:
    """Who answers when the test lets them."""

    def __init__(self) -> None:
        self.put: list[Question] = []
        self.woken: list[Key] = []
        self.may = asyncio.Event()
        self.asker = Asker(self.answer, self.woken.append)

    async def answer(self, question: Question) -> Answer:
        self.put.append(question)
        await self.may.wait()
        if question == TWO:
            raise RuntimeError("a bug")
        return Answer()

    async def let(self) -> None:
        self.may.set()
        await asyncio.sleep(0.01)


async def test_each_question_is_put_once() -> None:
    world = World()
    world.asker.ask(KEY, [ONE])
    await asyncio.sleep(0)
    world.asker.ask(KEY, [ONE])
    assert world.asker.answers(KEY) == {}
    await world.let()
    world.asker.ask(KEY, [ONE])
    await asyncio.sleep(0.01)
    assert world.put == [ONE]
    assert world.asker.answers(KEY) == {ONE: Answer()}
    assert world.woken == [KEY]


async def test_an_answer_that_nobody_asks_for_any_more_is_dropped() -> None:
    world = World()
    world.asker.ask(KEY, [ONE])
    await asyncio.sleep(0)
    world.asker.ask(KEY, [])
    await world.let()
    assert (world.asker.answers(KEY), world.woken) == ({}, [])


async def test_a_bug_of_who_answers_is_an_answer() -> None:
    world = World()
    world.asker.ask(KEY, [TWO])
    await world.let()
    assert world.asker.answers(KEY) == {TWO: Answer(error="RuntimeError: a bug")}
