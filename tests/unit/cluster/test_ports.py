"""Ports that tests are given: none twice, not in two processes either."""

import socket
import subprocess
import sys

import pytest

from e2e.cluster import ports

ASK = "from e2e.cluster.ports import free_ports; print(*free_ports(30), flush=True); input()"


def test_no_port_is_given_twice_while_its_process_lives() -> None:
    own = ports.free_ports(30)
    others = [subprocess.Popen([sys.executable, "-c", ASK], stdin=-1, stdout=-1, text=True) for _ in range(3)]
    given = [int(port) for one in others if one.stdout for port in one.stdout.readline().split()]
    for one in others:
        one.communicate("\n")
    assert len({*own, *given}) == 120


def test_where_somebody_listens_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    (port, other) = ports.free_ports(2)
    ports._given.difference_update({port, other})
    monkeypatch.setattr(ports, "_RANGE", [port, other])
    with socket.create_server(("127.0.0.1", port)):
        assert ports.free_ports(1) == [other]
