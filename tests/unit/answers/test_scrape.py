"""Counters on pages of metrics, and by how much they grew."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from perennial.answers import Answers
from perennial.answers.scrape import totals
from perennial.config import Config
from perennial.questions import Answer, Counter, Sampled, Scrape

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAILED = Counter("requests_total", (("code", "5*"),))
ALL = Counter("requests_total")
PAGE = """# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/a"} 90
requests_total{code="500",path="/a"} 7
requests_total{code="503",path="/b"} 3
requests_total_of_another{code="500"} 1000
"""
DECLARED = "# TYPE requests_total counter\n# TYPE seconds histogram\n"
HISTOGRAM = """# TYPE seconds histogram
seconds_bucket{le="0.1"} 8
seconds_bucket{le="+Inf"} 10
seconds_sum 3.5
seconds_count 10
"""


@pytest.mark.parametrize(
    ("page", "numerator", "denominator", "expected"),
    [
        pytest.param(PAGE, FAILED, ALL, (10, 100), id="labels by a pattern"),
        pytest.param(PAGE, Counter("requests_total", (("path", "/b"),)), ALL, (3, 100), id="labels by a value"),
        pytest.param(PAGE, Counter("requests_total", (("code", "418"),)), ALL, (0, 100), id="none yet is none"),
        pytest.param(
            HISTOGRAM, Counter("seconds_bucket", (("le", "0.1"),)), Counter("seconds_count"), (8, 10), id="a bucket"
        ),
        pytest.param(
            "good_total 90\nbad_total 10\n",
            Counter("bad_total"),
            Counter("good_total", plus=("bad_total",)),
            (10, 100),
            id="good and bad ones apart",
        ),
        pytest.param(DECLARED, FAILED, ALL, (0, 0), id="a counter before its first request"),
        pytest.param(DECLARED, Counter("seconds_sum"), Counter("seconds_count"), (0, 0), id="a histogram before it"),
        pytest.param(
            PAGE, FAILED, Counter("requests_total", (("path", "/c"),)), (10, 0), id="before the first of a kind"
        ),
    ],
)
def test_totals(page: str, numerator: Counter, denominator: Counter, expected: tuple[float, float]) -> None:
    assert totals(page, (numerator, denominator)) == expected


@pytest.mark.parametrize(
    ("denominator", "words"),
    [
        (Counter("answers_total"), "there is no answers_total among"),
        (Counter("answers_total", plus=("seconds_count",)), "there is no answers_total and no seconds_count among"),
        (Counter("requests_total", plus=("answers_total",)), "there is no answers_total among"),
    ],
)
def test_without_a_denominator_nothing_is_known(denominator: Counter, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        totals(PAGE, (FAILED, denominator))


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_what_is_no_number_is_an_error(value: str) -> None:
    for failed, good in ((value, 9), (9, value)):
        page = f'requests_total{{code="500"}} {failed}\nrequests_total{{code="200"}} {good}\n'
        with pytest.raises(ValueError, match="requests_total or requests_total is no finite number"):
            totals(page, (FAILED, ALL))


class Server:
    """A page of metrics that is what a test says."""

    def __init__(self) -> None:
        self.page = ""
        self.status = 200

    async def start(self) -> str:
        async def metrics(_: web.Request) -> web.Response:
            return web.Response(text=self.page, status=self.status, headers={"Location": "/elsewhere"})

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/metrics"

    def counts(self, good: int, bad: int) -> None:
        self.page = f'requests_total{{code="200"}} {good}\nrequests_total{{code="500"}} {bad}\n'


async def asked(
    *turns: tuple[int, int], status: int = 200, pages: int = 1, anew: timedelta = timedelta()
) -> list[Answer]:
    """What is answered when a server's counters are these, one after the other."""
    server = Server()
    url = await server.start()
    server.status = status
    found = []
    try:
        async with Answers(Config()) as answers:
            for number, (good, bad) in enumerate(turns):
                since = NOW + number * anew
                server.counts(good, bad)
                question = Scrape(NOW, since, tuple((f"pod-{pod}", url) for pod in range(pages)), FAILED, ALL)
                found.append(await answers.answer(question))
    finally:
        await server.runner.cleanup()
    return found


async def test_what_it_counted_before_it_is_first_asked_does_not_count() -> None:
    assert await asked((100, 50), (190, 60), (190, 60)) == [Answer(), Answer(Sampled(100, 0.1, 0.0, 1.0)), Answer()]


async def test_another_rollout_begins_anew() -> None:
    assert await asked((100, 50), (190, 60), anew=timedelta(hours=1)) == [Answer(), Answer()]


async def test_after_a_restart_it_counts_from_zero() -> None:
    assert (await asked((100, 50), (9, 1)))[1] == Answer(Sampled(10, 0.1, 0.0, 1.0))


async def test_pods_are_added_up() -> None:
    assert (await asked((0, 0), (9, 1), pages=3))[1] == Answer(Sampled(30, 0.1, 0.0, 1.0))


@pytest.mark.parametrize(("status", "words"), [(500, "answered 500"), (302, "answered 302")])
async def test_no_page_is_an_error_with_its_words(status: int, words: str) -> None:
    (answer,) = await asked((1, 1), status=status)
    assert words in answer.error


async def test_who_does_not_listen_is_an_error_and_costs_the_others_nothing() -> None:
    server = Server()
    url = await server.start()
    try:
        async with Answers(Config()) as answers:
            dead = ("dead", "http://127.0.0.1:9/metrics")
            alone = await answers.answer(Scrape(NOW, NOW, (dead,), FAILED, ALL))
            assert "ClientConnectorError" in alone.error
            both = Scrape(NOW, NOW, (dead, ("pod", url)), FAILED, ALL)
            server.counts(0, 0)
            await answers.answer(both)
            server.counts(9, 1)
            assert await answers.answer(both) == Answer(Sampled(10, 0.1, 0.0, 1.0))
    finally:
        await server.runner.cleanup()


async def test_a_part_that_is_more_than_the_whole_is_an_error() -> None:
    server = Server()
    url = await server.start()
    try:
        async with Answers(Config()) as answers:
            question = Scrape(NOW, NOW, (("pod", url),), ALL, FAILED)
            server.counts(0, 0)
            await answers.answer(question)
            server.counts(9, 1)
            assert "it is no part of it" in (await answers.answer(question)).error
    finally:
        await server.runner.cleanup()


async def test_too_long_a_page_is_not_read_to_its_end() -> None:
    server = Server()
    url = await server.start()
    server.page = "x" * (5 << 20)
    try:
        async with Answers(Config()) as answers:
            answer = await answers.answer(Scrape(NOW, NOW, (("pod", url),), FAILED, ALL))
        assert "more than 4 MiB" in answer.error
    finally:
        await server.runner.cleanup()


async def test_a_mean_is_one_sample_of_each_look() -> None:
    server = Server()
    url = await server.start()
    try:
        async with Answers(Config()) as answers:
            pages = (("pod", url), ("other", url))
            question = Scrape(NOW, NOW, pages, Counter("seconds_sum"), Counter("seconds_count"), mean=1000)
            found = []
            for seconds, count in ((3.0, 6), (5.0, 10), (5.0, 10)):
                server.page = f"seconds_sum {seconds}\nseconds_count {count}\n"
                found.append(await answers.answer(question))
            assert found == [Answer(), Answer(Sampled(1, 500.0, 500.0, 500.0)), Answer()]
    finally:
        await server.runner.cleanup()


async def test_over_a_window_it_is_of_all_that_was_counted_in_it_and_says_since_when() -> None:
    server = Server()
    url = await server.start()
    try:
        async with Answers(Config()) as answers:
            found = []
            for turn, (seconds, count) in enumerate(((3.0, 6), (5.0, 10), (6.0, 20))):
                server.page = f"seconds_sum {seconds}\nseconds_count {count}\n"
                at = NOW + timedelta(seconds=30 * turn)
                counters = Counter("seconds_sum"), Counter("seconds_count")
                question = Scrape(at, NOW, (("pod", url),), *counters, mean=1000, window=timedelta(hours=1))
                found.append(await answers.answer(question))
            assert found == [
                Answer(since=NOW),
                Answer(Sampled(4, 500.0, 500.0, 500.0), since=NOW),
                Answer(Sampled(14, 3000 / 14, 3000 / 14, 3000 / 14), since=NOW),
            ]
    finally:
        await server.runner.cleanup()


async def test_who_else_asks_the_same_takes_nothing_away() -> None:
    server = Server()
    url = await server.start()
    try:
        async with Answers(Config()) as answers:
            analysis = Scrape(NOW, NOW, (("pod", url),), FAILED, ALL, of="team/churn-r1:http/metrics")
            hourly = replace(analysis, window=timedelta(hours=1))
            daily = replace(analysis, window=timedelta(days=1))
            elsewhere = replace(hourly, of="team/churn-r1:admin/metrics")
            server.counts(0, 0)
            for question in (analysis, hourly, daily, elsewhere):
                await answers.answer(question)
            server.counts(9, 1)
            # The same of two policies, at once, too.
            both = await asyncio.gather(answers.answer(hourly), answers.answer(hourly))
            others = [await answers.answer(question) for question in (analysis, daily, elsewhere)]
            assert [one.sampled for one in (*both, *others)] == [Sampled(10, 0.1, 0.0, 1.0)] * 5
    finally:
        await server.runner.cleanup()


async def test_an_answer_that_comes_late_is_no_restart() -> None:
    """Two ask the same at once, and who asked first is answered last."""
    first, counts = asyncio.Event(), iter((0, 100, 110))

    async def metrics(_: web.Request) -> web.Response:
        count = next(counts)
        if count == 100:
            await first.wait()
        return web.Response(text=f'requests_total{{code="200"}} {count}\n')

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    try:
        async with Answers(Config()) as answers:
            question = Scrape(NOW, NOW, (("pod", url),), FAILED, ALL, window=timedelta(hours=1))
            await answers.answer(question)
            both = [asyncio.create_task(answers.answer(question)) for _ in range(2)]
            await asyncio.sleep(0.05)
            first.set()
            assert [one.sampled and one.sampled.count for one in await asyncio.gather(*both)] == [100, 110]
    finally:
        await runner.cleanup()
