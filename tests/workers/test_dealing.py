"""A connection on its way from the parent to a worker."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.logger import capturedLogs

from disroom.workers.dealer import Acceptor
from disroom.workers.dealing import Deal, Deals, give
from disroom.workers.tally import Verdict


class Readers:
    """A reactor that only notes who wants to read, and who waits."""

    def __init__(self) -> None:
        self.reading: set[object] = set()
        self.waiting: list[Callable[[], None]] = []

    def addReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        """Note it."""
        self.reading.add(reader)

    def removeReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        """Note it."""
        self.reading.discard(reader)

    def callLater(self, seconds: float, call: Callable[[], None]) -> None:  # noqa: N802
        """Note it."""
        self.waiting.append(call)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of the way."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


def test_a_connection_arrives_with_what_is_said_of_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The order is kept, and the sender's copies may be closed at once."""
    near, far = pair
    taken: list[tuple[socket.socket | None, Deal]] = []
    deals = Deals(Readers(), far, lambda connection, deal: taken.append((connection, deal)))
    sent = [Deal(0, Verdict.WELCOME, 1), Deal(3, Verdict.CROWDED, 1 << 40)]
    ends = []
    for deal in sent:
        mine, theirs = socket.socketpair()
        with theirs:
            assert give(near, theirs, deal)
        ends.append(mine)
    deals.doRead()
    assert [deal for _, deal in taken] == sent
    for (connection, deal), mine in zip(taken, ends, strict=True):
        assert connection is not None and not connection.get_inheritable()
        mine.send(str(deal.key).encode())
        assert connection.recv(100) == str(deal.key).encode()
        connection.close()
        mine.close()


def test_a_worker_without_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    """What it has none left for is lost, and told; the next goes with its own record."""
    near, far = pair
    taken: list[tuple[bool, int]] = []

    def take(connection: socket.socket | None, deal: Deal) -> None:
        taken.append((connection is not None, deal.key))
        if connection is not None:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    deals = Deals(Readers(), far, take)
    with socket.socket() as connection:
        for key in (1, 2):
            assert give(near, connection, Deal(0, Verdict.WELCOME, key))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        deals.doRead()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert taken == [(False, 1), (True, 2)]


def test_a_worker_that_takes_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    """Once so many wait for it, or it is gone, the parent is told at once."""
    near, far = pair
    with socket.socket() as connection:
        deal = Deal(0, Verdict.WELCOME, 1)
        given = sum(give(near, connection, deal) for _ in range(2000))
        assert 0 < given < 2000
        far.close()
        assert not give(near, connection, deal)


def test_what_nobody_takes_is_held_until_somebody_does() -> None:
    """One connection waits in the parent, the others in the kernel's queue; none is lost."""
    reactor = Readers()
    dealt: list[bytes] = []
    willing = False

    def deal(listener: int, connection: socket.socket) -> bool:
        if willing:
            connection.setblocking(True)
            dealt.append(connection.recv(1))
            connection.close()
        return willing

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        acceptor = Acceptor(reactor, listener.fileno(), 0, deal)
        acceptor.resume()
        assert acceptor in reactor.reading
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        acceptor.doRead()
        assert acceptor not in reactor.reading and len(reactor.waiting) == 1
        reactor.waiting.pop()()
        assert acceptor not in reactor.reading and len(reactor.waiting) == 1
        willing = True
        reactor.waiting.pop()()
        assert acceptor in reactor.reading
        acceptor.doRead()
        assert dealt == [b"0", b"1", b"2"] and not reactor.waiting
        acceptor.stop()
        assert acceptor not in reactor.reading
        for client in clients:
            client.close()


def test_a_parent_without_descriptors_says_so_once() -> None:
    """The log has a line each time that accepting begins to fail, however often it is tried."""
    reactor = Readers()
    dealt: list[int] = []

    def deal(listener: int, connection: socket.socket) -> bool:
        dealt.append(listener)
        connection.close()
        return True

    def fail(times: int) -> None:
        for _ in range(times):
            acceptor.doRead()
            reactor.waiting.pop()()

    with socket.socket() as listener, capturedLogs() as events:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        acceptor = Acceptor(reactor, listener.fileno(), 7, deal)
        acceptor.resume()
        fail(3)  # it does not listen, which is told in the same way
        assert len(events) == 1
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            acceptor.doRead()
        listener.shutdown(socket.SHUT_RDWR)
        fail(3)
        assert len(events) == 2
        acceptor.stop()
    assert dealt == [7]
