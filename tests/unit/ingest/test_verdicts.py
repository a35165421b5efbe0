"""Verdicts that are remembered, shared, and forgotten."""

import asyncio

import pytest

from perennial.ingest.verdicts import Verdicts


class Judge:
    """Counts what it is asked, and answers when told."""

    def __init__(self, verdict: bool = True) -> None:
        self.asked = 0
        self.verdict = verdict
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.now = 0.0

    async def __call__(self) -> bool:
        self.asked += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return self.verdict

    def verdicts(self, size: int = 10) -> Verdicts[str, bool]:
        return Verdicts(seconds=20, size=size, clock=lambda: self.now)


@pytest.mark.parametrize(("verdict", "seconds"), [(True, 20), (False, 10)])
async def test_a_verdict_holds_for_a_while(verdict: bool, seconds: float) -> None:
    judge = Judge(verdict)
    verdicts = judge.verdicts()
    for judge.now in (0, seconds - 0.1, seconds, seconds + 1):
        assert await verdicts.get("a", judge) is verdict
    assert judge.asked == 2


async def test_who_asks_at_the_same_time_shares_one_question() -> None:
    judge = Judge()
    verdicts = judge.verdicts()
    judge.go.clear()
    asking = [asyncio.create_task(verdicts.get("a", judge)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    judge.go.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [True] * 4
    assert judge.asked == 1


async def test_an_error_is_told_to_all_who_wait_and_not_remembered() -> None:
    judge = Judge()
    verdicts = judge.verdicts()
    judge.error = OSError("away")
    answers = await asyncio.gather(*(verdicts.get("a", judge) for _ in range(3)), return_exceptions=True)
    assert answers == [judge.error] * 3
    judge.error = None
    assert await verdicts.get("a", judge)
    assert judge.asked == 2


async def test_only_so_many_are_remembered() -> None:
    judge = Judge()
    verdicts = judge.verdicts(size=2)
    for key in ("a", "b", "c", "c", "b", "a"):
        await verdicts.get(key, judge)
    assert judge.asked == 4


async def test_nobody_is_asked_for_those_who_hung_up() -> None:
    judge = Judge()
    verdicts = judge.verdicts()
    judge.go.clear()
    asking = [asyncio.create_task(verdicts.get("a", judge)) for _ in range(2)]
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before - 3
    judge.go.set()
    assert await verdicts.get("a", judge)


async def test_who_was_good_is_known_until_found_otherwise() -> None:
    judge = Judge()
    verdicts = judge.verdicts()
    assert not verdicts.knows("a")
    await verdicts.get("a", judge)
    judge.now = 60
    assert verdicts.knows("a")
    judge.verdict = False
    await verdicts.get("a", judge)
    assert not verdicts.knows("a")
