"""Puts the questions of plans to whom they are for, beside the workers, and keeps the answers while they are asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from perennial.questions import Answer, Question
from perennial.runtime.key import Key

logger = logging.getLogger(__name__)

Ask = Callable[[Question], Awaitable[Answer]]

_AT_ONCE = 16


async def nobody(_: Question) -> Answer:
    """Where there is nobody to ask."""
    return Answer(error="this operator asks nobody")


class Asker:
    """The questions of each object's last plan. `add` has an object reconciled when an answer came."""

    def __init__(self, ask: Ask, add: Callable[[Key], None]) -> None:
        self._ask = ask
        self._add = add
        self._asked: dict[Key, dict[Question, Answer | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def answers(self, key: Key) -> Mapping[Question, Answer]:
        """What is answered by now."""
        return {question: answer for question, answer in self._asked.get(key, {}).items() if answer is not None}

    def ask(self, key: Key, questions: Sequence[Question]) -> None:
        """These are asked from now on, and no others: each once."""
        before = self._asked.pop(key, {})
        if not questions:
            return
        self._asked[key] = {question: before.get(question) for question in questions}
        for question in self._asked[key].keys() - before.keys():
            task = asyncio.create_task(self._answer(key, question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, key: Key, question: Question) -> None:
        async with self._room:
            try:
                answer = await self._ask(question)
            except Exception as error:
                logger.exception("cannot ask for %s", key)
                answer = Answer(error=f"{type(error).__name__}: {error}")
        if question in self._asked.get(key, {}):
            self._asked[key][question] = answer
            self._add(key)
