"""Plays many schedules at once, each in a namespace of its own, on one server with one operator."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import CHILD_KINDS, OWN_KINDS
from perennial.kube import login
from perennial.kube.http import HttpClient
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space
from tests.kubelets import Kubelets
from tests.prove import oracle
from tests.prove.crowd import Crowd
from tests.prove.mirror import Mirror
from tests.prove.player import Everyone, Player, Schedule
from tests.prove.proxy import Proxy

# Seconds: how long after the faults, and after the last version that trainings which went on made, all must be as it
# has to (a version is a wish of its own: it has its rollout still before it), and how long nothing may be written then.
WITHIN, QUIET = 60.0, 10.0
# The operator is started again at once; between two ends it is of some use.
_BETWEEN_KILLS = 4.0
# Of what is left, first what would make the rest anew.
_CLEARED = (*OWN_KINDS[::-1], *CHILD_KINDS)


@dataclass
class End:
    """How a schedule ended: what was wrong, and after how many seconds without faults nothing was any more."""

    schedule: Schedule
    namespace: str
    wrong: list[str]
    took: float


@dataclass
class _Open:
    schedule: Schedule
    player: Player
    right_since: float | None = None
    wrong: list[str] = field(default_factory=list)
    looked_at: int = -1


class Waves:
    """The operator behind its proxy, and the eyes and hands of the proof. `kills` counts the operator's ends."""

    def __init__(self, server: ApiServer, config: Path) -> None:
        self.kills = 0
        self._server = server
        self._crowd = Crowd()
        self._proxy = Proxy(server, "crowd", self._crowd)
        self._operator = Perennial(server, "crowd", config, kubeconfig=self._proxy.kubeconfig)
        self._back = 0.0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        credentials = login.load(str(self._server.kubeconfig))
        self._client = await self._stack.enter_async_context(HttpClient(credentials))
        self._mirror = await self._stack.enter_async_context(Mirror(credentials))
        await self._stack.enter_async_context(Kubelets(self._client, credentials))
        self._stack.enter_context(self._proxy)
        self._stack.enter_context(self._operator)
        self._restarting = asyncio.create_task(self._leading())
        await self._restarting
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def play(self, schedules: list[Schedule]) -> list[End]:
        """Play them all; then nothing goes wrong any more, and everything has to come right."""
        spaces = await asyncio.gather(*(asyncio.to_thread(Space, self._server) for _ in schedules))
        everyone = Everyone(self._kill, self._stale)
        opened = [
            _Open(
                schedule,
                Player(
                    space.name, self._client, self._mirror.spaces[space.name], self._crowd.places[space.name], everyone
                ),
            )
            for schedule, space in zip(schedules, spaces, strict=True)
        ]
        await asyncio.gather(*(one.player.play(one.schedule) for one in opened))
        self._crowd.calm()
        await self._restarting
        ends = await self._settle(opened)
        await self._clear([space.name for space in spaces])
        return ends

    async def _settle(self, opened: list[_Open]) -> list[End]:
        calm, ends = time.monotonic(), []
        while opened:
            await asyncio.sleep(0.5)
            self._mirror.check()
            assert self._operator.process
            assert self._operator.process.poll() is None, f"the operator ended: {self._operator.log}"
            for one in list(opened):
                now = time.monotonic()
                if one.looked_at != one.player.past.events:
                    one.looked_at, one.wrong = one.player.past.events, oracle.wrong(one.player)
                    if one.wrong:
                        one.right_since = None
                    elif one.right_since is None:
                        one.right_since = now
                place = self._crowd.places[one.player.name]
                still = max(one.right_since or now, place.tried_at)
                if now - still >= QUIET:
                    ends.append(End(one.schedule, one.player.name, [], still - calm))
                elif still > max(calm, one.player.past.versioned) + WITHIN:
                    wrong = one.wrong or [f"written {now - place.tried_at:.1f} s ago: {', '.join(place.last)}"]
                    ends.append(End(one.schedule, one.player.name, wrong, still - calm))
                else:
                    continue
                opened.remove(one)
        return ends

    async def _clear(self, namespaces: list[str]) -> None:
        """What is left of a wave would slow the next."""
        for resource in _CLEARED:
            paths = [resource.path(namespace) for namespace in namespaces]
            await asyncio.gather(*(asyncio.to_thread(self._server.request, "DELETE", path) for path in paths))
        for namespace in namespaces:
            del self._mirror.spaces[namespace]
            del self._crowd.places[namespace]

    def _kill(self) -> None:
        if self._restarting.done() and time.monotonic() - self._back > _BETWEEN_KILLS:
            self._restarting = asyncio.create_task(self._restart())

    async def _restart(self) -> None:
        self.kills += 1
        await asyncio.to_thread(self._operator.kill)
        self._proxy.cut()
        self._operator.__enter__()
        await self._leading()

    async def _leading(self) -> None:
        await asyncio.to_thread(eventually, self._operator.leads, 90)
        self._back = time.monotonic()

    async def _stale(self, seconds: float) -> None:
        if time.monotonic() < self._crowd.stale_until:
            return
        self._crowd.stale_until = time.monotonic() + seconds
        await asyncio.to_thread(self._proxy.snapshot)
        # What is told late is old by some seconds.
        await asyncio.sleep(random.uniform(0.0, 1.0))
