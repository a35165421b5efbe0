"""Who is slow, silent, or asks without end, holds little of the ingest endpoint, and takes nothing from others."""

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import time
from collections import Counter
from typing import Any

import aiohttp
import pytest

from tests.apiserver.reporting import Place, Reporter, path, sample, until
from tests.prove.ingesting import Ingesting, Wire, by, head, statuses, tally, whole
from tests.prove.nonsense import BODY, CHUNKED
from tests.prove.report import FULL, Proof, scaled

pytestmark = pytest.mark.proof("Ingest")


async def test_who_is_slow_is_left(operator: Ingesting, place: Place, proof: Proof) -> None:
    token, where = place.reporter(), path(place)
    slow = scaled(40, 8)

    async def drip(wire: Wire, *parts: bytes) -> None:
        """Byte for byte, for ever."""
        for part in parts:
            for i in range(len(part)):
                await wire.send(part[i : i + 1])
                await asyncio.sleep(0.5)

    async def dripping(begin: bytes, rest: bytes, number: int) -> list[int]:
        async with Wire(operator, f"127.0.2.{number}") as wire:
            await wire.send(begin)
            dripping = asyncio.create_task(drip(wire, rest * 1000))
            answers = await wire.heard(35)
            ended = wire.reader.at_eof() or wire.reader.exception() is not None
            dripping.cancel()
            assert ended, f"still there: {begin!r} {rest!r} {answers!r}"
            return statuses(answers)

    async def refusing_answers(number: int) -> list[int]:
        """Asks for ever, and takes no answer."""
        async with Wire(operator, f"127.0.2.{number}", buffer=4096) as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            asking = asyncio.create_task(wire.send(*[head("/", None, method="GET") * 100] * 10_000))
            await asyncio.wait({asking}, timeout=35)
            assert asking.done(), "still waited for"
            return []

    kinds: dict[str, tuple[Any, list[list[int]]]] = {
        "bodies": (lambda n: dripping(head(where, token, "Content-Length: 5000"), b" ", n), [[408]]),
        "chunks": (lambda n: dripping(head(where, token, CHUNKED), b"1\r\n \r\n", n), [[408]]),
        "extensions of a chunk": (lambda n: dripping(head(where, token, CHUNKED) + b"1;", b"a", n), [[408], [400]]),
        "trailers": (lambda n: dripping(head(where, token, CHUNKED) + b"0\r\n", b"a: b\r\n", n), [[408], [400]]),
        "bodies of strangers": (lambda n: dripping(head(where, None, "Content-Length: 5000"), b" ", n), [[401]]),
        "answers not taken": (refusing_answers, [[]]),
    }
    if FULL:
        # These have twenty seconds, the others ten.
        kinds |= {
            "heads": (lambda n: dripping(b"POST / HTTP/1.1\r\n", b"X-A: b\r\n", n), [[]]),
            "first lines": (lambda n: dripping(b"PO", b"S", n), [[], [400]]),
            "nothing said": (lambda n: dripping(b"", b"", n), [[]]),
        }
    waiting = [
        (what, run(number), fine)
        for what, (run, fine) in kinds.items()
        for number in range(1, 3 if run is refusing_answers else slow)
    ]
    honest = asyncio.create_task(_reports_on(operator, place, "honest", "127.0.0.9", scaled(20, 8)))
    ends = await asyncio.gather(*(one for _, one, _ in waiting))
    for (what, _, fine), end in zip(waiting, ends, strict=True):
        assert end in (*fine, [429]), what
        proof.count("slow senders left")
    sent, codes = await honest
    assert set(codes) == {200}
    assert place.counted() == sent


async def _reports_on(operator: Ingesting, place: Place, who: str, address: str, reports: int) -> tuple[int, list[int]]:
    """One report in a second: how many were sent, and what they were answered."""
    codes = []
    async with by(operator, place.reporter(who), address) as reporter:
        for _ in range(reports):
            codes.append((await reporter.report(place, sample())).status)
            await asyncio.sleep(1)
    return len(codes), codes


def _openssl(operator: Ingesting, *arguments: str, say: bytes = b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{operator.reports}", *arguments]
    done = subprocess.run(command, input=say, capture_output=True, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_only_a_whole_handshake_of_today_is_heard(operator: Ingesting, place: Place, proof: Proof) -> None:
    token = place.reporter()
    for number, said in enumerate((whole(path(place), token, BODY), b"\x16\x03\x01" + os.urandom(2000), b"\0" * 2000)):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", operator.reports, local_addr=(f"127.0.5.{number + 1}", 0)
        )
        writer.write(said)
        with contextlib.suppress(OSError):
            assert b"HTTP/" not in await asyncio.wait_for(reader.read(), 15)
        writer.close()
        proof.count("bad handshakes refused")
    for old in ("-tls1", "-tls1_1"):
        text = await asyncio.to_thread(_openssl, operator, old, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in text, text
        proof.count("bad handshakes refused")
    text = await asyncio.to_thread(_openssl, operator, "-tls1_2", say=b"R\n")
    assert "RENEGOTIATING" in text
    assert "no renegotiation" in text, text
    assert "Cipher is ECDHE" in await asyncio.to_thread(_openssl, operator, "-tls1_2")


async def test_what_was_overheard_cannot_be_said_again(operator: Ingesting, place: Place, proof: Proof) -> None:
    overheard: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", operator.reports)

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: list[bytes]) -> None:
            while data := await source.read(2**16):
                kept.append(data)
                target.write(data)
            target.close()

        await asyncio.gather(carry(reader, back, overheard), carry(there, writer, []), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Reporter(port, operator.bundle, place.reporter()) as reporter:
            assert (await reporter.report(place, sample())).status == 200
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.reports)
        writer.write(b"".join(overheard))
        with contextlib.suppress(OSError):
            await asyncio.wait_for(reader.read(), 15)
        writer.close()
        proof.count("connections replayed")
    assert place.counted() == 1


class Flood:
    """Attackers for some seconds; what they were answered is counted."""

    def __init__(self, operator: Ingesting, place: Place, seconds: float) -> None:
        self._operator = operator
        self._place = place
        self._until = time.monotonic() + seconds
        self.answers: Counter[int] = Counter()
        self.asked = 0
        self.refused = 0
        self.descriptors = 0

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until

    async def ask(self, address: str, token: str | None, body: bytes = BODY, at_once: int = 100) -> None:
        """Many requests at once on a connection, again and again."""
        while self._goes_on():
            one = token or base64.urlsafe_b64encode(os.urandom(300)).decode()
            try:
                async with asyncio.timeout(10), Wire(self._operator, address) as wire:
                    self.asked += at_once
                    sending = asyncio.create_task(wire.send(whole(path(self._place), one, body) * at_once))
                    self.answers.update(statuses(await wire.heard(5, at_once)))
                    sending.cancel()
            except (OSError, TimeoutError):
                self.refused += 1
                await asyncio.sleep(0.02)

    async def connect(self, address: str) -> None:
        """Connections on which nothing is ever said."""
        held: list[asyncio.StreamWriter] = []
        while self._goes_on():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._operator.reports, local_addr=(address, 0))
                held.append(writer)
            except OSError:
                self.refused += 1
            await asyncio.sleep(0.002)
            if len(held) > 1000:
                held.pop(0).close()
        for writer in held:
            writer.close()

    async def report(self, address: str, tokens: list[str], names: list[str]) -> None:
        """As much as many accounts may, to as many deployments as there are."""
        body = json.dumps({"samples": [sample()] * 1000}).encode()
        number = 0

        async def one(reporter: Reporter, name: str) -> None:
            try:
                self.answers[(await reporter.send(path(self._place, name), body)).status] += 1
            except (OSError, aiohttp.ClientError):
                self.refused += 1

        reporters = [by(self._operator, token, address) for token in tokens]
        async with asyncio.TaskGroup() as group:
            while self._goes_on():
                for reporter in reporters:
                    number += 1
                    self.asked += 1
                    group.create_task(one(reporter, names[number % len(names)]))
                await asyncio.sleep(0.1)
        for reporter in reporters:
            await reporter.__aexit__()

    async def watch(self) -> None:
        while self._goes_on():
            self.descriptors = max(self.descriptors, self._operator.descriptors())
            await asyncio.sleep(0.1)


async def test_a_flood_costs_no_other_sender(operator: Ingesting, place: Place, proof: Proof) -> None:
    seconds = scaled(45, 9)
    names = [f"model-{number}" for number in range(60)]
    for name in names:
        place.deploy(name)
    attacker = place.reporter("attacker")
    greedy = [place.reporter(f"greedy-{number}") for number in range(5)]
    neighbour, others = "127.0.3.1", [Place(place.server) for _ in range(3)]
    for other in others:
        other.deploy()
    homes = [(others[0], neighbour), (others[1], "127.0.4.1"), (others[2], "127.0.4.2")]
    # The neighbour, too, is known: behind one address, strangers and who was good before are told apart.
    honest = [asyncio.create_task(_reports_on(operator, home, "honest", address, seconds)) for home, address in homes]
    await asyncio.sleep(1)
    flood = Flood(operator, place, seconds)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(flood.ask("127.0.3.2", attacker))
            group.create_task(flood.ask(neighbour, None))
        for _ in range(10):
            group.create_task(flood.ask("127.0.3.3", attacker, b"[" * 250_000, 4))
        for number in range(4):
            group.create_task(flood.connect(f"127.0.3.{number + 4}"))
        group.create_task(flood.report("127.0.3.8", greedy, names))
        group.create_task(flood.watch())
    results = await asyncio.gather(*honest)
    for (home, _), (sent, codes) in zip(homes, results, strict=True):
        assert set(codes) == {200}, f"{tally(codes)}; the flood: {flood.answers}"
        assert home.counted() == sent
        proof.count("honest reports in a flood", sent)
    assert flood.asked > 10_000
    assert set(flood.answers) <= {200, 400, 401, 403, 429, 503}, flood.answers
    # Each connection is a descriptor; the operator's own are a few dozen.
    assert flood.descriptors < 512 + 150
    proof.count("requests of floods", flood.asked)
    proof.count("floods answered", flood.answers.total())
    proof.count("connections refused", flood.refused)
    proof.count("MiB at most in a flood", operator.memory())


async def test_ten_thousand_at_once_are_bounded(operator: Ingesting, place: Place, proof: Proof) -> None:
    token = place.reporter()
    requests = scaled(10_000, 2000)
    answers: Counter[int] = Counter()
    turned_away = 0

    async def ask(number: int) -> None:
        nonlocal turned_away
        try:
            async with asyncio.timeout(60), Wire(operator, f"127.0.{6 + number // 200}.{number % 200 + 1}") as wire:
                await wire.send(whole(path(place), token, BODY))
                answers.update(statuses(await wire.heard(30, 1)) or [0])
        except (OSError, TimeoutError):
            turned_away += 1

    await asyncio.gather(*(ask(number) for number in range(requests)))
    assert set(answers) <= {0, 200, 429}, answers
    accepted = answers[200]
    assert accepted
    assert place.counted() >= accepted
    assert answers.total() + turned_away == requests
    # What is left are the operator's own connections to the API server, at most 64.
    await until(lambda: operator.descriptors() < 100, 40)
    proof.count("requests at once", requests)
