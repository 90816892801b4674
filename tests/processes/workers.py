"""The workers of a service, and which of them gets the connections. Linux only."""

import os
import re
import socket
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.eventually import eventually_blocking
from tests.processes.disroom import DisroomProcess

RUNS = re.compile(r"(?P<name>\S+-\d+) runs as process (?P<pid>\d+)\n")
GREETING = b"Welcome"


def workers_of(server: DisroomProcess) -> dict[str, int]:
    """The latest process of each worker, by its name."""
    return {found["name"]: int(found["pid"]) for found in RUNS.finditer(server.output())}


def address_of(server: DisroomProcess) -> tuple[str, int]:
    """Where its first listener is, which is no unix socket."""
    assert isinstance(server.address, tuple)
    return server.address


def shares(server: DisroomProcess, count: int, *, burst: bool) -> list[int]:
    """Open so many connections, at once or one after the other, and close them.

    Nobody else may come or go meanwhile.

    Returns:
        How many of them each worker had, the fewest first.
    """
    before = _sockets(server)
    with ExitStack() as opened:
        connections = []
        for _ in range(count):
            connection = opened.enter_context(socket.socket())
            connection.setblocking(not burst)
            connection.connect_ex(address_of(server))
            if not burst:
                assert connection.recv(len(GREETING)) == GREETING
            connections.append(connection)
        if burst:
            for connection in connections:
                connection.settimeout(10)
                assert connection.recv(len(GREETING)) == GREETING
        now = _sockets(server)
        now.subtract(before)
    eventually_blocking(lambda: _sockets(server) == before)
    return sorted(now.values())


def _sockets(server: DisroomProcess) -> Counter[int]:
    """How many sockets each worker has open."""
    return Counter({pid: _sockets_of(pid) for pid in workers_of(server).values()})


def _sockets_of(pid: int) -> int:
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it is closed meanwhile
            count += os.readlink(link).startswith("socket:")
    return count
