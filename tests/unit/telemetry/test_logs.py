"""Logs: one JSON object per line, with the object that is being reconciled."""

import asyncio
import io
import json
import logging

import pytest

from perennial.telemetry import logs


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line(stream):
    with logs.about("TrainingJob", "ns", "tj"):
        logging.getLogger("x").warning("made %s", "it", extra={"took": 3})
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "x",
        "message": "made it",
        "kind": "TrainingJob",
        "namespace": "ns",
        "name": "tj",
        "took": 3,
    }


def test_a_traceback_stays_on_its_line(stream):
    try:
        raise ValueError("oops\nnewline")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: oops" in line["traceback"]
    assert "kind" not in line


async def test_tasks_do_not_mix_up_their_objects(stream):
    async def work(name):
        with logs.about("Job", "ns", name):
            await asyncio.sleep(0)
            logging.getLogger("x").info("%s", name)

    await asyncio.gather(*(work(f"job-{number}") for number in range(3)))
    assert all(line["name"] == line["message"] for line in lines(stream))


def test_kopfs_line_per_event_is_silent(stream):
    logging.getLogger("kopf.objects").error("handler succeeded")
    logging.getLogger("x").debug("too fine")
    assert stream.getvalue() == ""
