"""A leader is frozen in the middle of its writes, another leads, and it wakes up: what it had begun comes too late."""

import json
import random
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, SERVICES, TRAININGJOBS, Resource
from perennial.plan import Body
from tests.apiserver.operators import USER, Operator, eventually
from tests.apiserver.toy import a_trainingjob
from tests.prove.report import FULL, Proof, scaled

NAMESPACE = "default"
LEASE = 4.0  # seconds
OLD, NEW = 40, 10  # objects that are edited each time, and that are made


@pytest.mark.proof("Failover")
def test_a_leader_that_wakes_up_changes_nothing(toy_server: ApiServer, proof: Proof) -> None:
    for one in range(OLD):
        toy_server.request("POST", TRAININGJOBS.path(NAMESPACE), a_trainingjob(NAMESPACE, f"old-{one}", service=1))
    late: Counter[str] = Counter()
    with ExitStack() as stack:
        pair = [stack.enter_context(_operator(toy_server, 0)), stack.enter_context(_operator(toy_server, 1))]
        eventually(lambda: sum(one.leads() for one in pair) == 1, 120)
        for number in range(scaled(40, 3)):
            late += _freeze(toy_server, pair, number)
            proof.count("leaders frozen in the middle of their writes")
    proof.count("late writes refused", late["refused"])
    proof.count("late Events", late["events"])
    proof.count("late writes that found nothing to change", late["void"])
    if FULL:
        assert late["refused"] > 0


@pytest.mark.proof("Failover")
def test_one_without_a_successor_goes_on_where_it_was(toy_server: ApiServer, proof: Proof) -> None:
    """Its lease ran out and nobody took it: what it was about to write is not forgotten."""
    for _ in range(scaled(10, 1)):
        before = len(_list(toy_server, TRAININGJOBS))
        with _operator(toy_server, 2) as alone:
            alone.started()
            for one in range(OLD):
                name = f"alone-{before}-{one}"
                toy_server.request("POST", TRAININGJOBS.path(NAMESPACE), a_trainingjob(NAMESPACE, name))
            alone.signal(signal.SIGSTOP)
            time.sleep(LEASE)
            alone.signal(signal.SIGCONT)
            eventually(lambda: _goes_on(alone) and _done(toy_server), 60)
        proof.count("leaders frozen that nobody succeeded")


def _freeze(server: ApiServer, pair: list[Operator], number: int) -> Counter[str]:
    """Freeze the leader while everything is edited, and wake it when another one has done the work."""
    first, second = sorted(pair, key=lambda one: not one.leads())
    eventually(lambda: _settled(server, number), 60)
    editing = threading.Thread(target=_edit, args=(server, number + 1))
    editing.start()
    time.sleep(random.uniform(0.05, 0.6))
    first.signal(signal.SIGSTOP)
    eventually(second.leads, 60)
    editing.join()
    eventually(lambda: _settled(server, number + 1), 60)
    before, woken = _versions(server), len(_writes(server))

    first.signal(signal.SIGCONT)
    assert first.exit_code(60) == 1, "its pod is to be started anew"
    time.sleep(0.5)
    late = _writes(server)[woken:]
    after = _versions(server)
    assert {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)} == {}
    first.__enter__()
    eventually(lambda: "ok" in first.get("/readyz"), 120)
    kinds = ("events" if "events" in what else "void" if code < 300 else "refused" for what, code in late)
    return Counter(kinds)


def _operator(server: ApiServer, number: int) -> Operator:
    return Operator(server, f"failover-{number}", lease_seconds=LEASE)


def _edit(server: ApiServer, port: int) -> None:
    """Other ports for the old Services, and new objects."""
    for one in range(OLD):
        path = TRAININGJOBS.path(NAMESPACE, f"old-{one}")
        server.request("PATCH", path, {"spec": {"service": 1 + port}}, "application/merge-patch+json")
        if one < NEW:
            server.request("POST", TRAININGJOBS.path(NAMESPACE), a_trainingjob(NAMESPACE, f"new-{port}-{one}"))


def _settled(server: ApiServer, port: int) -> bool:
    """Whether all is done, and the old Services have these ports."""
    services = [one for one in _list(server, SERVICES) if one["metadata"]["name"].startswith("old-")]
    ports = [one["spec"]["ports"][0]["port"] for one in services]
    return ports == [1 + port] * OLD and _done(server)


def _done(server: ApiServer) -> bool:
    """Whether every object has its Job and its status."""
    wanted = {one["metadata"]["name"] for one in _list(server, TRAININGJOBS)}
    told = {one["metadata"]["name"] for one in _list(server, TRAININGJOBS) if one.get("status")}
    return wanted == told == {one["metadata"]["name"] for one in _list(server, JOBS)}


def _goes_on(operator: Operator) -> bool:
    """One that gave its lease up is started again, as its container would be."""
    if operator.ended():
        operator.__enter__()
    return True


def _list(server: ApiServer, resource: Resource) -> list[Body]:
    return list(server.request("GET", resource.path(NAMESPACE))["items"])


def _versions(server: ApiServer) -> dict[tuple[str, str], str]:
    return {
        (resource.plural, one["metadata"]["name"]): one["metadata"]["resourceVersion"]
        for resource in (TRAININGJOBS, JOBS, SERVICES)
        for one in _list(server, resource)
    }


def _writes(server: ApiServer) -> list[tuple[str, int]]:
    """What both operators wrote so far, as the resource and the answer; of the Lease what was refused."""
    lines = (json.loads(line) for line in server.audit_log.read_text().splitlines())
    found = [
        (line["objectRef"]["resource"], line["responseStatus"]["code"])
        for line in lines
        if line["user"]["username"] == USER and line["verb"] in ("create", "update", "patch", "delete")
    ]
    return [(what, code) for what, code in found if what != "leases" or code >= 300]
