"""Receivers, told over HTTP: once each, again when it failed, and nobody waits for one that is down."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perennial.answers import Answers
from perennial.answers.notices import Notices
from perennial.config import Config
from perennial.questions import Answer
from tests.receiver import Receiver, receiver
from tests.unit.notices.test_forms import NOTICE


@pytest.fixture
def oncall() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


def config(state: Receiver, form: str = "CloudEvents", **more: Any) -> Config:
    return Config.model_validate({"receivers": {"oncall": {"form": form, "url": state.url, **more}}})


def clocked(answers: Answers, now: list[float]) -> None:
    """Have the receivers told by this clock."""
    answers._notices = Notices(answers._session, answers._config.receivers, clock=lambda: now[0])


async def test_it_is_told_in_its_form_with_its_token(oncall: Receiver, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    text = "$reason in $namespace, run $run: $summary $nothing"
    async with Answers(config(oncall, tokenFile=str(tmp_path / "token"), text=text)) as answers:
        assert await answers.answer(NOTICE) == Answer()
    ((path, headers, body),) = oncall.told
    assert path == "/"
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/cloudevents+json", "Bearer abc")
    assert body["data"]["summary"] == f"RunRejected in $namespace, run 3: {NOTICE.summary} $nothing"


async def test_urls_and_keys_may_be_secrets(oncall: Receiver, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{oncall.url}/services/T0/B0/secret\n")
    (tmp_path / "key").write_text("R0UT1NG\n")
    slack = {"form": "Slack", "urlFile": str(tmp_path / "url")}
    duty = {"form": "PagerDuty", "url": oncall.url, "keyFile": str(tmp_path / "key")}
    loaded = Config.model_validate({"receivers": {"slack": slack, "oncall": duty}})
    async with Answers(loaded) as answers:
        assert await answers.answer(replace(NOTICE, receiver="slack")) == Answer()
        assert await answers.answer(NOTICE) == Answer()
    (_, _, line), (_, _, incident) = oncall.told
    assert oncall.told[0][0] == "/services/T0/B0/secret"
    assert line == {"text": NOTICE.summary}
    assert incident["routing_key"] == "R0UT1NG"


async def test_the_same_is_told_once_however_often_and_at_once_it_is_asked(oncall: Receiver) -> None:
    async with Answers(config(oncall)) as answers:
        tries = [replace(NOTICE, at=NOTICE.at + timedelta(minutes=one)) for one in range(5)]
        assert set(await asyncio.gather(*map(answers.answer, tries))) == {Answer()}
        assert await answers.answer(tries[0]) == Answer()
    assert len(oncall.told) == 1


async def test_one_that_failed_is_left_alone_for_a_while_and_told_again(
    oncall: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    oncall.status = 503
    async with Answers(config(oncall)) as answers:
        clocked(answers, now)
        assert await answers.answer(NOTICE) == Answer(error="HTTP 503: not so")
        oncall.status = 200
        assert await answers.answer(replace(NOTICE, id="another")) == Answer(error="HTTP 503: not so")
        assert len(oncall.told) == 1, "it was left alone"
        now[0] += 11
        assert await answers.answer(NOTICE) == Answer()
        assert await answers.answer(replace(NOTICE, id="another")) == Answer()
    assert len(oncall.told) == 3


async def test_much_at_once_is_told_bit_by_bit(oncall: Receiver) -> None:
    now = [0.0]
    async with Answers(config(oncall)) as answers:
        clocked(answers, now)
        found = [await answers.answer(replace(NOTICE, id=str(number))) for number in range(40)]
        assert [one.error for one in found].count("") == 30
        now[0] += 20.5
        again = [await answers.answer(replace(NOTICE, id=str(number))) for number in range(40)]
        assert [one.error for one in again].count("") == 40
    assert sorted(body["id"] for _, _, body in oncall.told) == sorted(map(str, range(40)))


async def test_what_is_wrong_is_told() -> None:
    config = Config.model_validate({"receivers": {"oncall": {"form": "Slack", "url": "http://127.0.0.1:1/"}}})
    async with Answers(config) as answers:
        assert "ClientConnector" in (await answers.answer(NOTICE)).error
        unknown = await answers.answer(replace(NOTICE, receiver="nobody"))
    assert unknown.error == "there is no receiver 'nobody' in the operator's configuration: oncall"


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        ({"form": "Slack"}, "Slack needs url or urlFile"),
        ({"form": "PagerDuty"}, "PagerDuty needs keyFile"),
        ({"form": "Pager"}, "form"),
        ({"form": "Slack", "url": "ftp://x"}, "url"),
        ({"form": "Slack", "url": "http://x", "colour": "red"}, "colour"),
    ],
)
def test_a_configuration_that_says_nothing_is_refused(receiver: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config.model_validate({"receivers": {"oncall": receiver}})
